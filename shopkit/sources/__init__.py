"""Where raw tables come from. A source gives ibis tables; nothing is read before it is asked for."""
