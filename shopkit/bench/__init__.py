"""How fast, how small and how soon ready an exported file is, beside what would have been done without it."""

from shopkit.bench.measure import bench

__all__ = ["bench"]
