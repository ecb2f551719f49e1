"""A function that is told of every epoch, in the shape of one of Lightning's loggers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytorch_lightning.loggers import Logger


class EpochWatch(Logger):
    """Calls `after(epoch, row)` at the end of every epoch; what that raises ends the training.

    Args:
        after: given the epoch, from 0, and the others of its row; see `FitResult.history`.
    """

    def __init__(self, after: Callable[[int, dict[str, float]], None]) -> None:
        super().__init__()
        self.after = after

    @property
    def name(self) -> str:
        return "watch"

    @property
    def version(self) -> str:
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.after(step or 0, dict(metrics))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing is kept."""
