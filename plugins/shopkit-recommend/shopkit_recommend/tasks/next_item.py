"""Which item comes next, of the whole catalogue."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import ndonnx as ndx
import numpy as np
import spox
import spox.opset.ai.onnx.ml.v4 as ml
import spox.opset.ai.onnx.v21 as op
import torch
import torch.nn.functional as F  # noqa: N812
from shopkit.errors import DataError
from shopkit.split.base import Rows
from shopkit.tasks.base import Decide, Detail, Input, Monitor, Output, Task, mean_loss
from torch import Tensor

from shopkit_recommend.tasks import details
from shopkit_recommend.tasks.metrics import NOTHING, Lists, Ranks, described
from shopkit_recommend.tasks.settings import NextItemSettings

OUT_OF_REACH = -1e29
"""A score below this is of an item that must not be recommended."""
PROBED = 1000
"""Rows looked at for whether seen items are given."""
EVERY = "*"
"""Among the candidates, stands for the whole catalogue: an empty list is an empty stock, not one that nobody named."""
OUTSIDE = -1
"""The encoded target where an item is not in the catalogue: always a miss, and no part of a loss."""


class NextItem(Task):
    """Scores (N, n_items) → `items` string (N, k) and `scores` float32 (N, k), the best first.

    The file has two more inputs: `k`, cut to 1 and to the size of the catalogue, and `candidates`, the items that may be given,
    of which `"*"`, the default, stands for all. Where fewer than k items may be given, the rest of the list is "" with a score of
    minus infinity: all of it where there are no candidates. Equal scores are in order of popularity.

    State: `classes`, the catalogue by falling number of training interactions, and `counts`, those numbers; where the examples
    name items, `names` of the catalogue as well, "" for an item without one.
    """

    settings: NextItemSettings
    fits_decision = False

    def __init__(self, settings: NextItemSettings) -> None:
        super().__init__(settings)
        self.monitor = Monitor(f"{settings.monitor}_{settings.cutoffs[0]}", "max")
        self.described = described(settings.cutoffs, settings.baskets, settings.sampled)
        self.measures_scores = settings.sampled > 0
        self.groups: np.ndarray | None = None
        self.of_histories: np.ndarray = np.empty(0, object)
        self.name_of: dict[str, str] = {}

    def grouped_by(self, groups: np.ndarray | None) -> NextItem:
        """The task as it measures rows of these decisions (N,), where they are baskets.

        Raises:
            DataError: there are none.
        """
        if not self.settings.baskets:
            return self
        if groups is None:
            raise DataError("task.baskets=true measures by basket, and no column says whose a row is. Name it with view.group.")
        bound = copy.copy(self)
        bound.groups = groups
        return bound

    # -- the catalogue ------------------------------------------------------------------------------------------

    @property
    def extractors(self) -> Mapping[str, str]:
        return {self.settings.history: "catalogue"}

    def fit_examples(self, rows: Rows) -> None:
        """Remember the items of the histories, which are in the catalogue with those of the targets, and their names."""
        name = self.settings.history
        if name not in rows.schema or not rows.schema[name].sequence or rows.schema[name].kind != "string":
            raise DataError(
                f"task=next_item reads histories of items, and the examples have no sequence of items '{name}'. Use a view of "
                "histories (interactions, item_sequences, session_prefixes), or name the column with task.history."
            )
        self.of_histories = _all_steps(rows, name)
        self.name_of = self._names(rows)

    def _names(self, rows: Rows) -> dict[str, str]:
        """Item → readable name, of all that have one in the examples."""
        history, target = self.settings.history, rows.schema.the("target")
        if target is None or not {f"{history}_name", f"{target.name}_name"} <= set(rows.schema.names):
            return {}
        of_steps = _all_steps(rows, f"{history}_name")
        if len(of_steps) != len(self.of_histories):
            raise DataError(
                f"The examples have {len(self.of_histories):,} steps in '{history}' and {len(of_steps):,} readable names in "
                f"'{history}_name'. Give each step a name, which may be empty."
            )
        items = [*self.of_histories.tolist(), *rows.read(target.name).tolist()]
        names = [*of_steps.tolist(), *rows.read(f"{target.name}_name").tolist()]
        return {item: name for item, name in zip(items, names, strict=True) if name}

    def fit_target(self, values: np.ndarray, weight: np.ndarray | None = None) -> None:
        if values.dtype.kind not in "OUT":
            raise DataError(
                f"task=next_item recommends items by their ids as text, but the target is a number (row 0: {values[0]:g}). "
                "Set features.types.<target>=string."
            )
        if (values == "").any():
            raise DataError(f"The target is missing in row {int((values == '').argmax())}: every decision needs its next item.")
        counts: dict[str, int] = {}
        for item in [*self.of_histories.tolist(), *values.tolist()]:
            counts[item] = counts.get(item, 0) + 1
        counts.pop("", None)
        if len(counts) < 2:
            raise DataError(
                f"The catalogue has one item, '{next(iter(counts))}', in all {len(values):,} training rows: there is nothing to "
                "choose from. Look at the view's item column and at its filters."
            )
        items = sorted(counts, key=lambda item: (-counts[item], item))
        self.state = {"classes": items, "counts": [counts[item] for item in items]}
        if self.name_of:
            self.state["names"] = [self.name_of.get(item, "") for item in items]
        self.of_histories, self.name_of = np.empty(0, object), {}

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Raw target (N,) → int64 (N,) class; -1 for an item outside the catalogue, which no list can hold."""
        return _codes(values, self.state["classes"], OUTSIDE)

    @property
    def n_outputs(self) -> int:
        return len(self.state["classes"])

    # -- training -----------------------------------------------------------------------------------------------

    def loss(self, scores: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        losses = self._losses(scores.unsqueeze(1) if scores.ndim == 2 else scores, target)
        known = (target != OUTSIDE).to(losses.dtype)
        weight = known if weight is None else known * weight
        return mean_loss(losses, weight)

    def _losses(self, scores: Tensor, target: Tensor) -> Tensor:
        """(N, members, n_items) → cross-entropy (N,)."""
        index = target.clamp(min=0)[:, None].expand(scores.shape[:2])
        return F.cross_entropy(scores.flatten(0, 1), index.flatten(), reduction="none").view(scores.shape[:2]).mean(1)

    def initial_bias(self) -> np.ndarray:
        logits = np.log(np.array(self.state["counts"], np.float64) + 1)
        return np.asarray(logits - logits.mean(), np.float32)

    def summary(self, scores: Tensor, target: Tensor) -> Tensor:
        """float32 (n, 2): the rank of the target from 0, and its loss; infinity and NaN where the target is out of reach. With
        `sampled`, also its rank among sampled items."""
        at = target.clamp(min=0)[:, None]
        score = scores.gather(1, at)
        before = torch.arange(scores.shape[1], device=scores.device) < at
        rank = ((scores > score) | ((scores == score) & before)).sum(1).float()
        losses = torch.logsumexp(scores, dim=1) - score[:, 0]
        lost = (target == OUTSIDE) | (score[:, 0] < OUT_OF_REACH)
        columns = [rank.masked_fill(lost, torch.inf), losses.masked_fill(lost, torch.nan)]
        if self.settings.sampled:
            # Drawn by the target alone, so that a part may be summed up in any blocks.
            places = torch.from_numpy(np.stack([self._drawn(int(item)) for item in target.cpu()])).to(scores.device)
            others = scores.gather(1, places)
            ahead = (others > score) | ((others == score) & (places < at))
            columns.append(ahead.sum(1).float().masked_fill(lost, torch.inf))
        return torch.stack(columns, dim=1)

    def _drawn(self, item: int) -> np.ndarray:
        drawn = np.random.default_rng([self.settings.sampled, item + 1]).integers(0, self.n_outputs - 1, self.settings.sampled)
        return np.asarray(drawn + (drawn >= item))

    def validation_loss(self, summary: Tensor, target: Tensor, weight: Tensor | None) -> float:
        losses = summary[:, 1].double()
        counted = ~losses.isnan()
        weight = counted.double() if weight is None else weight.double() * counted
        return float(mean_loss(losses.nan_to_num(), weight))

    def validation_metrics(self, summary: Tensor, target: Tensor, weight: Tensor | None) -> dict[str, float]:
        """Recall, nDCG and MRR of the rank among all items."""
        weights = np.ones(len(summary)) if weight is None else weight.double().cpu().numpy()
        columns = summary.double().cpu().numpy().T
        groups = self.groups if self.settings.baskets else None
        found = Ranks(columns[0], self.settings.cutoffs, groups)(weights)
        if self.settings.sampled:
            sampled = Ranks(columns[2], self.settings.cutoffs, groups)(weights)
            found |= {f"sampled_{self.settings.sampled}_{name}": value for name, value in sampled.items()}
        return found

    # -- the decision -------------------------------------------------------------------------------------------

    def fit_decision(self, scores: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> None:
        """Nothing to fit: an order needs neither calibration nor a threshold."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        return (
            Input("k", "int64", "how many items to give, cut to the size of the catalogue", self.settings.k),
            Input(
                "candidates",
                "string",
                f'the items that may be given, e.g. those in stock; "{EVERY}" among them stands for all',
                [EVERY],
                ("M",),
                self.settings.history,
            ),
        )

    def decide(self, scores: ndx.Array, k: ndx.Array | None = None, candidates: ndx.Array | None = None) -> dict[str, ndx.Array]:
        items, x = self.state["classes"], scores.unwrap_spox()
        n_items, one = np.int64(len(items)), op.const(np.array([1], np.int64))
        if candidates is not None:
            x = op.add(x, _only(candidates.unwrap_spox(), items))
        wanted = op.const(np.int64(self.settings.k)) if k is None else k.unwrap_spox()
        wanted = op.reshape(op.min([op.max([wanted, op.const(np.int64(1))]), op.const(n_items)]), one)
        best, places = op.top_k(x, wanted, axis=1)
        given = op.greater(best, op.const(np.float32(OUT_OF_REACH)))
        names = op.gather(op.const(np.array(items)), places)
        return {
            "items": ndx.asarray(op.where(given, names, op.const(np.array("")))),
            "scores": ndx.asarray(op.where(given, best, op.const(np.float32(-np.inf)))),
        }

    def certain(self, scores: np.ndarray, margin: np.ndarray, decide: Decide) -> dict[str, np.ndarray]:
        """A place of the list is certain where its score is apart from that of both its neighbours."""
        k = min(self.settings.k, scores.shape[1])
        order = np.argsort(-scores, axis=1, kind="stable")[:, : k + 1]
        score, reach = np.take_along_axis(scores, order, 1).astype(np.float64), np.take_along_axis(margin, order, 1)
        # Equal scores have the same order everywhere only where they are equal exactly: out of reach.
        apart = (score[:, :-1] - score[:, 1:] > reach[:, :-1] + reach[:, 1:]) | (score[:, :-1] < OUT_OF_REACH)
        ends = np.ones((len(scores), 1), bool)
        certain = np.hstack([ends, apart, ends])
        return {"items": (certain[:, :-1] & certain[:, 1:])[:, :k]}

    @property
    def outputs(self) -> tuple[Output, ...]:
        return (
            Output("items", "string", "the items most likely to come next, the best first", per="k"),
            Output("scores", "float32", "their scores; only the order means anything", per="k"),
        )

    # -- evaluation ---------------------------------------------------------------------------------------------

    def statistics(self, outputs: dict[str, np.ndarray], target: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
        items = _codes(outputs["items"].reshape(-1), self.state["classes"], NOTHING).reshape(outputs["items"].shape)
        groups = self.groups if self.settings.baskets else None
        return Lists(items, target, np.array(self.state["counts"]), self.settings.cutoffs, groups)

    def metrics(self, outputs: dict[str, np.ndarray], target: np.ndarray, weight: np.ndarray | None = None) -> dict[str, float]:
        """Metrics of the lists. Not by torchmetrics, which goes row by row where the rank says all; tests compare the two."""
        weight = np.ones(len(target)) if weight is None else np.asarray(weight, np.float64)
        return self.statistics(outputs, target)(weight)

    def protocol(self, columns: Mapping[str, np.ndarray], outputs: dict[str, np.ndarray]) -> str:
        """What was ranked, whether seen items were left out, and what a mean is over."""
        histories = columns[self.settings.history][:PROBED]
        repeats = any(set(history) & set(items) - {""} for history, items in zip(histories, outputs["items"], strict=False))
        seen = "seen items are ranked as well" if repeats else "seen items left out"
        mean = "baskets" if self.settings.baskets else "rows"
        return f"full ranking of all {self.n_outputs:,} items of the training part, {seen}, means over {mean}"

    def details(
        self, columns: Mapping[str, np.ndarray], outputs: dict[str, np.ndarray], target: np.ndarray
    ) -> tuple[Detail, ...]:
        names, counts, k = self.state["classes"], np.array(self.state["counts"]), self.settings.cutoffs[0]
        items = _codes(outputs["items"].reshape(-1), names, NOTHING).reshape(outputs["items"].shape)
        found = (items[:, :k] == target[:, None]).any(axis=1)
        return (
            details.by_popularity(found, target, counts, k),
            details.coverage(items, len(names)),
            details.examples(columns[self.settings.history], outputs["items"], target, names, self.state.get("names", ())),
        )

    def constant_outputs(self, n_rows: int) -> dict[str, np.ndarray]:
        """The most popular items, for everyone the same."""
        k = min(self.settings.k, self.n_outputs)
        counts = np.array(self.state["counts"][:k], np.float32)
        return {
            "items": np.tile(np.array(self.state["classes"][:k], object), (n_rows, 1)),
            "scores": np.tile(counts, (n_rows, 1)),
        }

    def example_target(self, rng: np.random.Generator, n_rows: int) -> np.ndarray:
        return np.array([f"item {number}" for number in rng.geometric(0.4, n_rows)], object)


def _only(names: spox.Var, items: list[str]) -> spox.Var:
    """0 for the items that are named, minus infinity for all others, float32 (n_items,); where `EVERY` is named, 0 for all."""
    zero, excluded = op.const(np.float32(0)), op.const(np.float32(-np.inf))
    places = ml.label_encoder(names, keys_strings=items, values_int64s=list(range(len(items))), default_int64=-1)
    of_named = op.where(op.greater_or_equal(places, op.const(np.int64(0))), zero, excluded)
    every = ml.label_encoder(names, keys_strings=[EVERY], values_int64s=[1], default_int64=0)
    is_filter = op.equal(op.reduce_sum(every, keepdims=False), op.const(np.int64(0)))
    of_others = op.where(is_filter, excluded, zero)
    others = op.expand(of_others, op.const(np.array([len(items)], np.int64)))
    return op.scatter_elements(others, op.max([places, op.const(np.int64(0))]), of_named, reduction="max")


def _all_steps(rows: Rows, column: str) -> np.ndarray:
    """The steps of all rows end to end, object (total,)."""
    steps = [steps for steps in rows.read(column) if len(steps)]
    return np.concatenate(steps) if steps else np.empty(0, object)


def _codes(values: np.ndarray, items: list[str], unknown: int) -> np.ndarray:
    """Items (N,) → their places in the catalogue, int64 (N,)."""
    place = {item: at for at, item in enumerate(items)}
    return np.fromiter((place.get(value, unknown) for value in values.tolist()), np.int64, len(values))
