"""Settings of the task. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from shopkit.errors import ConfigError


@dataclass
class NextItemSettings:
    """Which item comes next: the first k of the whole catalogue, best first."""

    history: str = "history"
    """The sequence column of items, as the view names it. The catalogue is every item in the training part's histories and
    targets. Where the examples have readable names beside both, `<history>_name` and `<target>_name`, reports print them."""
    k: int = 20
    """Items that the file gives when the caller does not say how many."""
    cutoffs: list[int] = field(default_factory=lambda: [10, 20])
    """The k of the metrics, each at most `k`. The first is that of `monitor` and of coverage, novelty and popularity bias."""
    monitor: Literal["ndcg", "mrr", "recall"] = "ndcg"
    """Validation metric that early stopping watches, at the first cut-off."""
    baskets: bool = False
    """Rows of one decision of a customer (the items of a basket) are its several right answers, and metrics are means over
    decisions. Otherwise each row is a decision of its own."""
    sampled: int = 0
    """Items drawn at random to rank the right one among, for figures to set beside those of papers that do so. They are
    validation metrics of their own, `sampled_…`, in `metrics.json`, and say little (Krichene & Rendle 2020). 0 is none: metrics
    rank the whole catalogue."""

    def __post_init__(self) -> None:
        if not self.history:
            raise ConfigError("task.history is empty; name the sequence column of items.")
        if self.k < 1:
            raise ConfigError(f"task.k is {self.k}; it must be at least 1.")
        if not self.cutoffs or any(not 1 <= cutoff <= self.k for cutoff in self.cutoffs):
            raise ConfigError(f"task.cutoffs is {list(self.cutoffs)}; give one or more, each from 1 to task.k ({self.k}).")
        if self.sampled < 0:
            raise ConfigError(f"task.sampled is {self.sampled}; it must be at least 0.")
