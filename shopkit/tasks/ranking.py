"""Ranking: the rows of a group (query, session, customer) in the order of their relevance."""

from __future__ import annotations

import copy
from collections.abc import Callable

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op
from torch import Tensor

from shopkit.errors import DataError
from shopkit.tasks.base import Metric, Monitor, Output, Task, mean_loss
from shopkit.tasks.calibration import require_scores
from shopkit.tasks.ranking_metrics import RankingStatistics
from shopkit.tasks.settings import RankingSettings

LARGEST_EXPONENT = 30.0
"""Relevance up to which `gain=exponential` is taken: beyond it one row outweighs all others by a billion."""


class Ranking(Task):
    """Scores (N, 1) → `score` float32 (N,), whose order within a group is the answer.

    The encoded target is the relevance, a number from 0. The loss is pointwise, the squared error of the standardised relevance
    (subset regression, Cossock and Zhang 2006): models trained by gradients learn to tell it row by row, and an estimator may
    minimise a loss of whole groups. Metrics are means over groups, and know the groups from `grouped_by`. State: `centre` and
    `spread` of the relevance.
    """

    settings: RankingSettings

    def __init__(self, settings: RankingSettings) -> None:
        super().__init__(settings)
        k = settings.k
        self.monitor = Monitor(settings.monitor, "max")
        self.described = {
            "ndcg": Metric(
                f"nDCG@{k}", "higher", f"gain of the first {k} rows, discounted by rank, over the best possible", 0, 1
            ),
            "mrr": Metric(f"MRR@{k}", "higher", f"mean of 1/rank of the first relevant row, 0 beyond rank {k}", 0, 1),
            "precision": Metric(f"Precision@{k}", "higher", f"relevant rows among the first {k}, over {k}", 0, 1),
            "recall": Metric(f"Recall@{k}", "higher", f"share of a group's relevant rows that are among the first {k}", 0, 1),
        }
        self.groups: np.ndarray | None = None

    def grouped_by(self, groups: np.ndarray | None) -> Ranking:
        """The task as it measures rows of these groups (N,).

        Raises:
            DataError: there are none.
        """
        bound = copy.copy(self)
        bound.groups = _required(groups)
        return bound

    def fit_target(self, values: np.ndarray, weight: np.ndarray | None = None) -> None:
        relevance = self.encode(values).astype(np.float64)
        if relevance.min() == relevance.max():
            raise DataError(
                f"The relevance is {relevance[0]:g} in all {len(relevance):,} training rows: there is no order to learn. "
                "Look at the view's target and at the split."
            )
        centre = float(np.average(relevance, weights=weight))
        self.state = {"centre": centre, "spread": float(np.sqrt(np.average((relevance - centre) ** 2, weights=weight))) or 1.0}

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Raw target (N,) → relevance float32 (N,).

        Raises:
            DataError: text, negative, missing or infinite values, or one too large for `gain=exponential`.
        """
        if len(values) == 0:
            raise DataError("The target has no rows: nothing is left to learn from.")
        if values.dtype.kind in "OUT":
            raise DataError(
                f"task=ranking needs relevance as a number from 0, but the target is text (row 0: '{values[0]}'). "
                "Write a number for each grade (0 irrelevant, 1 relevant, …)."
            )
        bad = ~(np.isfinite(values) & (values >= 0))
        if bad.any():
            row = int(bad.argmax())
            raise DataError(
                f"Relevance is a number from 0, but the target is {values[row]:g} in row {row} ({bad.sum():,} such rows). "
                "0 is irrelevant, more is better; leave other rows out in the view."
            )
        if self.settings.gain == "exponential" and values.max() > LARGEST_EXPONENT:
            row = int(values.argmax())
            raise DataError(
                f"The target is {values[row]:g} in row {row}, and task.gain=exponential takes relevance to {LARGEST_EXPONENT:g}: "
                "its gain is 2^relevance − 1. Use task.gain=linear for amounts, or grades from 0 to about 4."
            )
        return values.astype(np.float32)

    def gains(self, relevance: np.ndarray) -> np.ndarray:
        """What a row of this relevance is worth at rank 1: float64 (N,)."""
        relevance = relevance.astype(np.float64)
        return np.asarray(np.exp2(relevance) - 1 if self.settings.gain == "exponential" else relevance)

    @property
    def n_outputs(self) -> int:
        return 1

    def loss(self, scores: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        score = scores.squeeze(-1)
        scaled = (target.to(score.dtype) - self.state["centre"]) / self.state["spread"]
        losses: Tensor = (score - scaled[:, None]).square().mean(dim=1) if score.ndim == 2 else (score - scaled).square()
        return mean_loss(losses, weight)

    def initial_bias(self) -> np.ndarray:
        return np.zeros(1, np.float32)

    def validation_metrics(self, scores: Tensor, target: Tensor, weight: Tensor | None) -> dict[str, float]:
        outputs = {"score": scores.float().cpu().numpy()[:, 0]}
        return self.metrics(outputs, target.cpu().numpy(), None if weight is None else weight.cpu().numpy())

    def fit_decision(self, scores: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> None:
        """Nothing to fit: an order needs neither calibration nor a threshold."""
        require_scores(scores)

    def decide(self, scores: ndx.Array) -> dict[str, ndx.Array]:
        return {"score": ndx.asarray(op.squeeze(scores.unwrap_spox(), op.const(np.array([1], np.int64))))}

    @property
    def outputs(self) -> tuple[Output, ...]:
        return (Output("score", "float32", "higher comes first; only the order within a group means anything"),)

    def statistics(self, outputs: dict[str, np.ndarray], target: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
        groups = _required(self.groups)
        return RankingStatistics(outputs["score"], target, self.gains(target), groups, self.settings.k)

    def metrics(self, outputs: dict[str, np.ndarray], target: np.ndarray, weight: np.ndarray | None = None) -> dict[str, float]:
        """Means over groups; equal scores count as in random order, and a group's weight is the mean weight of its rows.

        Not by torchmetrics, whose functions take ties in the order of the file; tests compare the two where there are none.
        """
        weight = np.ones(len(target)) if weight is None else np.asarray(weight, np.float64)
        return self.statistics(outputs, target)(weight)

    def constant_outputs(self, n_rows: int) -> dict[str, np.ndarray]:
        """The same score for every row, which is measured as a random order."""
        return {"score": np.zeros(n_rows, np.float32)}

    def example_target(self, rng: np.random.Generator, n_rows: int) -> np.ndarray:
        return rng.choice(4, n_rows, p=[0.6, 0.2, 0.15, 0.05]).astype(np.float64)


def _required(groups: np.ndarray | None) -> np.ndarray:
    if groups is None:
        raise DataError(
            "task=ranking orders rows within groups, but no column says what group a row belongs to. "
            "Name it with view.group=<column> (the query, session or customer)."
        )
    return groups
