"""Recipes from raw tables to examples: one row per decision, seeing nothing at or past its cut-off."""
