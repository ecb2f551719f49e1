"""Recommenders, one file each."""
