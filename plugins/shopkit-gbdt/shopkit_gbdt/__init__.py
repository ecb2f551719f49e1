"""Gradient-boosted trees for shopkit."""
