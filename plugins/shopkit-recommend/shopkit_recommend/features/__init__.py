"""How the items of a history become ids."""
