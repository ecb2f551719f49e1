"""Exporters: a recommender as a file, and as vectors with an index of nearest neighbours."""
