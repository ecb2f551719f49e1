"""Views that make a history and the next item."""
