"""Recommendation for shopkit: a customer's history of item ids in, the top-k item ids out, in one file."""
