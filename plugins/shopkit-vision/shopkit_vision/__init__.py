"""Product photographs for shopkit."""
