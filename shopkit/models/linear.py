"""Linear, logistic and softmax regression, fitted to convergence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.v21 as op
import torch
from torch import Tensor

from shopkit.features.base import FeatureSpec
from shopkit.features.tensors import FIXED, TERMS, FeatureArrays, row_lengths
from shopkit.models.base import Arrays, Estimator
from shopkit.models.settings import LinearSettings
from shopkit.models.sparse import SparseRows
from shopkit.onnx_format import pin_versions
from shopkit.tasks.base import Task

CHUNK_ROWS = 65_536

BYTES_OF_SCORE, BYTES_OF_TERM = 60, 32
"""Held while fitting, for each score of a row and for each term of its text (benchmarks/estimator_memory.py)."""

STRENGTHS = [100.0, 10.0, 1.0]
"""The penalties that `l2: auto` tries."""

BAG_STRENGTHS = [10.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003]
"""The same where there are bags: weights of a text are of length 1 together, so that each term's own is small."""

PATIENCE = 5
"""A penalty of a text so many times as weak as the best is the last that is tried: the weak ones take longest."""

MOST_CORRELATED = 4096
"""Dense columns up to which their correlation is taken into account."""

CURVATURE = 0.25
"""Of the loss along a standardised column: that of the logistic loss at even odds. Only its order matters, and only for speed."""

SMALLEST_CURVATURE = 1e-6

LEAST_PRIOR = 1e-4
"""Of a term that stands as often in either."""

MOST_HISTORY = 40_000_000
"""Numbers that L-BFGS remembers at most, twice: 20 steps of up to two million weights, fewer steps of more."""


class Linear(Estimator):
    """scores = dense · weight + Σ table[id] + bag · terms + bias, minimising the task's loss + l2 / (2 · rows) · ‖weight, table,
    terms‖².

    Full-batch L-BFGS (Liu & Nocedal 1989). The loss is convex, so there is nothing to draw at random and nothing to stop early.
    With `prior: naive_bayes` the penalty on a term is divided by the square of its log-count ratio (Wang & Manning 2012:
    Baselines and bigrams; there a factor of the columns, which is the same).
    It runs in coordinates where the loss is nearly round, by the Cholesky factor of the columns' covariance, and so takes a dozen
    iterations where neighbouring bins, being nearly collinear, would take hundreds.
    """

    settings: LinearSettings

    def __init__(self, settings: LinearSettings, features: FeatureSpec, task: Task) -> None:
        super().__init__(settings, features, task)
        cardinalities = np.array(features.cardinalities, np.int64)
        self.offsets = np.cumsum(cardinalities) - cardinalities
        self.weight = np.zeros((features.n_dense, task.n_outputs), np.float32)
        self.table = np.zeros((int(cardinalities.sum()), task.n_outputs), np.float32)
        self.terms = np.zeros((features.n_bag, task.n_outputs), np.float32)
        self.bias = np.zeros(task.n_outputs, np.float32)
        self.prior = torch.ones(1, dtype=torch.float64)
        """How much of each term's weight is expected, (n_bag, n_outputs) or (1,): the penalty counts less where it is more."""

    def fit(self, train: Arrays, validation: Arrays, seed: int) -> dict[str, Any]:
        """Facts: `l2`, `iterations`, `train_loss`, `validation_loss`, `largest_gradient`, of the penalty that was taken."""
        strengths = [self.settings.l2] if self.settings.l2 != "auto" else BAG_STRENGTHS if self.features.n_bag else STRENGTHS
        if len(strengths) > 1 and not len(validation):
            strengths = [1.0]
        bags = SparseRows(train.features, self.features.n_bag) if self.features.n_bag else None
        moments = Moments.of(train, self.offsets, len(self.table), bags)
        point = [torch.from_numpy(values).double() for values in (self.weight, self.table, self.terms)]
        point.append(torch.tensor(np.asarray(self.task.initial_bias()), dtype=torch.float64))
        if bags is not None and self.settings.prior == "naive_bayes":
            self.prior = self._informativeness(train, bags).square().clamp(min=LEAST_PRIOR)
        best, best_score = self.state(), -np.inf
        facts: dict[str, Any] = {}
        # From strong to weak, each starting where the one before ended.
        for l2 in strengths:
            point, found = self._minimise(train, bags, moments, l2 / len(train), point)
            score = self._quality(validation)
            if not facts or score > best_score:
                best, best_score, facts = self.state(), score, {"l2": l2, **found}
            elif self.features.n_bag and l2 < facts["l2"] / PATIENCE:
                break
        self.load_state(best)
        held_out = {"validation_loss": self._loss(validation)} if len(validation) else {}
        return {**facts, "train_loss": self._loss(train), **held_out}

    def holds(self, train: Arrays, validation: Arrays) -> int:
        """Scores and their slopes, and the terms of all rows, which are turned round."""
        terms = row_lengths(train.features) if self.features.n_bag else None
        of_terms = 0 if terms is None else BYTES_OF_TERM * int(terms.sum())
        return BYTES_OF_SCORE * self.task.n_outputs * len(train) + of_terms

    def _minimise(
        self, train: Arrays, bags: SparseRows | None, moments: Moments, penalty: float, start: list[Tensor]
    ) -> tuple[list[Tensor], dict[str, Any]]:
        """Take the minimum, and give it: weight, table, terms, and the bias at the columns' means."""
        target = torch.from_numpy(train.target.copy())
        sample_weight = None if train.weight is None else torch.from_numpy(train.weight.copy())
        factor, table_scale = moments.factor(penalty), scale(moments.frequency, penalty)
        term_scale, by_term = scale(moments.mean_square, penalty / self.prior), None if bags is None else bags.transposed
        weight, table, terms, bias = start
        # weight = factorᵀ⁻¹ · round_weight / spread, table = round_table · table_scale, terms = round_terms · term_scale.
        point = [factor.t() @ (weight * moments.spread), table / table_scale, terms / term_scale, bias.clone()]

        def straight() -> list[Tensor]:
            weight = torch.linalg.solve_triangular(factor.t(), point[0], upper=True) / moments.spread
            return [weight, point[1] * table_scale, point[2] * term_scale, point[3]]

        @torch.no_grad()
        def closure() -> Tensor:
            weight, table, terms, bias = straight()
            shift = bias - (moments.mean * weight).sum(0)
            scores = self._all_scores(train.features, bags, weight, table, terms, shift)
            with torch.enable_grad():
                scores.requires_grad_()
                loss = self.task.loss(scores, target, sample_weight)
                (slope,) = torch.autograd.grad(loss, scores)
            weight_slope, table_slope = penalty * weight - moments.mean * slope.sum(0), penalty * table
            for chunk, part in zip(_chunks(train.features), torch.split(slope, CHUNK_ROWS), strict=True):
                if "dense" in chunk:
                    weight_slope += chunk["dense"].t() @ part.float()
                if "ids" in chunk:
                    for ids in (chunk["ids"] + torch.from_numpy(self.offsets)).t():
                        table_slope.index_add_(0, ids, part)
            term_slope = penalty * terms / self.prior
            if by_term is not None:
                term_slope += by_term @ slope.float()
            point[0].grad = torch.linalg.solve_triangular(factor, weight_slope / moments.spread, upper=False).contiguous()
            point[1].grad, point[2].grad, point[3].grad = table_slope * table_scale, term_slope * term_scale, slope.sum(0)
            return loss + penalty / 2 * sum(values.square().sum() for values in (weight, table, terms / self.prior.sqrt()))

        optimizer = torch.optim.LBFGS(
            point,
            max_iter=self.settings.max_iterations,
            max_eval=self.settings.max_iterations * 2,
            tolerance_grad=self.settings.tolerance,
            tolerance_change=1e-10,
            history_size=max(5, min(20, MOST_HISTORY // max(1, sum(values.numel() for values in point)))),
            line_search_fn="strong_wolfe",
        )
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        weight, table, terms, bias = straight()
        self.weight, self.table, self.terms = (values.float().numpy() for values in (weight, table, terms))
        self.bias = (bias - (moments.mean * weight).sum(0)).float().numpy()
        largest = max(float(values.grad.abs().max()) for values in point if values.grad is not None and values.numel())
        return [weight, table, terms, bias], {"iterations": int(optimizer.state[point[0]]["n_iter"]), "largest_gradient": largest}

    def _informativeness(self, train: Arrays, bags: SparseRows) -> Tensor:
        """Of each term for each output, float64 (n_bag, n_outputs): the log of how much more often it stands in rows whose score
        should rise above the best constant than in those whose score should fall, as naive Bayes counts."""
        scores = torch.tensor(np.asarray(self.task.initial_bias())).float().expand(len(train), -1).contiguous().requires_grad_()
        weight = None if train.weight is None else torch.from_numpy(train.weight.copy())
        (slope,) = torch.autograd.grad(self.task.loss(scores, torch.from_numpy(train.target.copy()), weight), scores)
        logs = []
        for pull in (-slope, slope):
            pull = pull.clamp(min=0)
            one = pull.sum(0) / (pull > 0).sum(0).clamp(min=1)  # each term counts as if it stood in one row more
            counts = (bags.present @ pull).double() + one.clamp(min=SMALLEST_CURVATURE)
            logs.append((counts / counts.sum(0)).log())
        return logs[0] - logs[1]

    def _quality(self, validation: Arrays) -> float:
        """The monitored metric on the validation part, turned so that more is better, or the loss where the part cannot tell it
        (one class only, say); 0 without one."""
        if not len(validation):
            return 0.0
        weight = None if validation.weight is None else torch.from_numpy(validation.weight.copy())
        scores = torch.from_numpy(self.scores(validation.features))
        task = self.task.grouped_by(validation.groups)
        metrics = task.validation_metrics(scores, torch.from_numpy(validation.target.copy()), weight)
        value, mode = metrics[self.task.monitor.name], self.task.monitor.mode
        if np.isnan(value):
            value, mode = self._loss(validation), "min"
        return value if mode == "max" else -value

    def _all_scores(
        self, features: FeatureArrays, bags: SparseRows | None, weight: Tensor, table: Tensor, terms: Tensor, bias: Tensor
    ) -> Tensor:
        scores = torch.cat([self._chunk_scores(chunk, weight, table, bias) for chunk in _chunks(features)])
        return scores if bags is None else scores + bags @ terms

    def _chunk_scores(self, chunk: dict[str, Tensor], weight: Tensor, table: Tensor, bias: Tensor) -> Tensor:
        scores = bias.expand(len(chunk["row"]), -1)
        if "dense" in chunk:
            scores = scores + chunk["dense"] @ weight.float()
        if "ids" in chunk:
            scores = scores + table[chunk["ids"] + torch.from_numpy(self.offsets)].sum(1)
        return scores

    def _loss(self, arrays: Arrays) -> float:
        weight = None if arrays.weight is None else torch.from_numpy(arrays.weight.copy())
        scores = torch.from_numpy(self.scores(arrays.features))
        return float(self.task.loss(scores, torch.from_numpy(arrays.target.copy()), weight))

    def scores(self, features: FeatureArrays) -> np.ndarray:
        bags = SparseRows(features, self.features.n_bag) if self.features.n_bag else None
        parameters = [torch.from_numpy(values) for values in (self.weight, self.table, self.terms, self.bias)]
        return self._all_scores(features, bags, *parameters).numpy()

    def contributions(self, features: FeatureArrays, direction: np.ndarray) -> dict[str, np.ndarray]:
        """Weight times value, all of it: no place depends on another."""
        found: dict[str, np.ndarray] = {}
        along = direction.T  # (n_outputs, N)
        if self.features.n_dense:
            found["dense"] = np.asarray(features["dense"]) * (self.weight @ along).T
        if self.features.n_ids:
            moved = self.table[np.asarray(features["ids"]) + self.offsets] - self.table[self.offsets]  # (N, n_ids, n_outputs)
            found["ids"] = np.einsum("nik,nk->ni", moved, direction)
        if self.features.n_bag:
            terms = self.terms[np.asarray(features["bag_ids"])]  # (N, K, n_outputs)
            found["bag_weights"] = np.einsum("nik,nk,ni->ni", terms, direction, np.asarray(features["bag_weights"]))
        return found

    def to_onnx(self) -> onnx.ModelProto:
        inputs, terms = {}, []
        if self.features.n_dense:
            inputs["dense"] = spox.argument(spox.Tensor(np.float32, ("N", self.features.n_dense)))
            terms.append(op.gemm(inputs["dense"], op.const(self.weight), op.const(self.bias)))
        if self.features.n_ids:
            inputs["ids"] = spox.argument(spox.Tensor(np.int64, ("N", self.features.n_ids)))
            rows = op.gather(op.const(self.table), op.add(inputs["ids"], op.const(self.offsets)))
            terms.append(op.reduce_sum(rows, op.const(np.array([1])), keepdims=False))
        if self.features.n_bag:
            inputs["bag_ids"] = spox.argument(spox.Tensor(np.int64, ("N", TERMS)))
            inputs["bag_weights"] = spox.argument(spox.Tensor(np.float32, ("N", TERMS)))
            rows = op.gather(op.const(self.terms), inputs["bag_ids"])  # (N, K, n_outputs)
            weights = op.unsqueeze(inputs["bag_weights"], op.const(np.array([1])))  # (N, 1, K)
            terms.append(op.squeeze(op.matmul(weights, rows), op.const(np.array([1]))))
        scores = terms[0]
        for term in terms[1:]:
            scores = op.add(scores, term)
        if not self.features.n_dense:
            scores = op.add(scores, op.const(self.bias))
        model = spox.build(inputs, {"scores": scores})
        pin_versions(model)
        return model

    def state(self) -> dict[str, np.ndarray]:
        return {"weight": self.weight, "table": self.table, "terms": self.terms, "bias": self.bias}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.weight, self.table, self.terms, self.bias = (state[name] for name in ("weight", "table", "terms", "bias"))


@dataclass(frozen=True)
class Moments:
    """What the training columns are like, float64."""

    mean: Tensor
    """(n_dense, 1)."""
    spread: Tensor
    """(n_dense, 1) standard deviation; 1 for a constant column."""
    correlation: Tensor
    """(n_dense, n_dense), or its diagonal alone where that is too large to factor."""
    frequency: Tensor
    """(n_categories, 1) share of the rows with each id."""
    mean_square: Tensor
    """(n_bag, 1) of each term."""

    @classmethod
    def of(cls, train: Arrays, offsets: np.ndarray, n_categories: int, bags: SparseRows | None) -> Moments:
        dense = train.features.get("dense", np.zeros((len(train), 0), np.float32))
        n = dense.shape[1]
        centre = _sum_of(dense, lambda rows: rows) / len(train)
        mean = torch.from_numpy(centre)
        deviation = torch.from_numpy(np.sqrt(_sum_of(dense, lambda rows: (rows - centre) ** 2) / len(train)))
        spread = torch.where(deviation > 0, deviation, 1.0)
        correlation = torch.eye(n)
        if 0 < n <= MOST_CORRELATED:
            correlation = torch.zeros(n, n)
            for chunk in _chunks({"dense": dense}):
                z = (chunk["dense"] - mean.float()) / spread.float()
                correlation.addmm_(z.t(), z)
            correlation /= len(train)
        counts = np.zeros(n_categories)
        for chunk in _chunks({"ids": train.features["ids"]}) if n_categories else ():
            for column, offset in zip(chunk["ids"].numpy().T, offsets, strict=True):
                counts += np.bincount(column + offset, minlength=n_categories)
        frequency = torch.from_numpy(counts / len(train))
        mean_square = torch.from_numpy(np.zeros(0) if bags is None else bags.mean_square())
        return cls(mean[:, None], spread[:, None], correlation.double(), frequency[:, None], mean_square[:, None])

    def factor(self, penalty: float) -> Tensor:
        """Lower Cholesky factor (n_dense, n_dense) of about the loss's curvature along the scaled columns."""
        curvature = CURVATURE * self.correlation + torch.diag(penalty / self.spread[:, 0] ** 2 + SMALLEST_CURVATURE)
        factor: Tensor = torch.linalg.cholesky(curvature)
        return factor


def _sum_of(dense: np.ndarray, values: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Over all rows, chunk by chunk, float64 (width,)."""
    return np.asarray(sum(values(chunk["dense"].numpy()).sum(axis=0, dtype=np.float64) for chunk in _chunks({"dense": dense})))


def scale(mean_square: Tensor, penalty: float | Tensor) -> Tensor:
    """Of sparse columns, whose correlation is not worth its price: one over the root of about the loss's curvature along each."""
    return (CURVATURE * mean_square + penalty + SMALLEST_CURVATURE).rsqrt()


def _chunks(features: FeatureArrays) -> Iterator[dict[str, Tensor]]:
    """`dense` and `ids` of some rows at a time, and the rows' numbers as `row`."""
    n = len(next(iter(features.values())))
    for start in range(0, max(n, 1), CHUNK_ROWS):
        rows = {name: np.asarray(values[start : start + CHUNK_ROWS]) for name, values in features.items() if name in FIXED}
        rows["row"] = np.arange(start, min(start + CHUNK_ROWS, n))
        # Torch warns of arrays that cannot be written to, as memory maps.
        yield {name: torch.from_numpy(values if values.flags.writeable else values.copy()) for name, values in rows.items()}
