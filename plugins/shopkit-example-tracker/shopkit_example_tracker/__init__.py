"""A JSON-lines run log for shopkit."""
