"""Rows through an exported file, however many: read as the run's source read its own, answered in batches, here or on Spark."""
