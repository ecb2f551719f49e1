"""Linear, logistic and softmax regression, fitted to convergence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.v21 as op
import torch
from torch import Tensor

from shopkit.features.base import FeatureSpec
from shopkit.features.tensors import FeatureArrays
from shopkit.models.base import Arrays, Estimator
from shopkit.models.settings import LinearSettings
from shopkit.onnx_format import pin_versions
from shopkit.tasks.base import Task

CHUNK_ROWS = 65_536

STRENGTHS = [100.0, 10.0, 1.0]
"""The penalties that `l2: auto` tries."""

MOST_CORRELATED = 4096
"""Dense columns up to which their correlation is taken into account."""

CURVATURE = 0.25
"""Of the loss along a standardised column: that of the logistic loss at even odds. Only its order matters, and only for speed."""

SMALLEST_CURVATURE = 1e-6


class Linear(Estimator):
    """scores = dense · weight + Σ table[id] + bias, minimising the task's loss + l2 / (2 · rows) · ‖weight, table‖².

    Full-batch L-BFGS (Liu & Nocedal 1989). The loss is convex, so there is nothing to draw at random and nothing to stop early.
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
        self.bias = np.zeros(task.n_outputs, np.float32)

    def fit(self, train: Arrays, validation: Arrays, seed: int) -> dict[str, Any]:
        """Facts: `l2`, `iterations`, `train_loss`, `validation_loss`, `largest_gradient`, of the penalty that was taken."""
        strengths = [self.settings.l2] if self.settings.l2 != "auto" else STRENGTHS if len(validation) else STRENGTHS[-1:]
        moments = Moments.of(train, self.offsets, len(self.table))
        weight, table = (torch.zeros(shape, dtype=torch.float64) for shape in (self.weight.shape, self.table.shape))
        point = [weight, table, torch.tensor(np.asarray(self.task.initial_bias()), dtype=torch.float64)]
        best, best_score = self.state(), -np.inf
        facts: dict[str, Any] = {}
        # From strong to weak, each starting where the one before ended.
        for l2 in strengths:
            point, found = self._minimise(train, moments, l2 / len(train), point)
            score = self._quality(validation)
            if not facts or score > best_score:
                best, best_score, facts = self.state(), score, {"l2": l2, **found}
        self.load_state(best)
        held_out = {"validation_loss": self._loss(validation)} if len(validation) else {}
        return {**facts, "train_loss": self._loss(train), **held_out}

    def _minimise(
        self, train: Arrays, moments: Moments, penalty: float, start: list[Tensor]
    ) -> tuple[list[Tensor], dict[str, Any]]:
        """Take the minimum, and give it: weight, table, and the bias at the columns' means."""
        target = torch.from_numpy(train.target.copy())
        sample_weight = None if train.weight is None else torch.from_numpy(train.weight.copy())
        factor, table_scale = moments.factor(penalty), moments.table_scale(penalty)
        weight, table, bias = start
        # weight = factorᵀ⁻¹ · round_weight / spread, table = round_table · table_scale.
        point = [factor.t() @ (weight * moments.spread), table / table_scale, bias.clone()]

        def straight() -> list[Tensor]:
            weight = torch.linalg.solve_triangular(factor.t(), point[0], upper=True) / moments.spread
            return [weight, point[1] * table_scale, point[2]]

        @torch.no_grad()
        def closure() -> Tensor:
            weight, table, bias = straight()
            shift = bias - (moments.mean * weight).sum(0)
            scores = torch.cat([self._chunk_scores(chunk, weight, table, shift) for chunk in _chunks(train.features)])
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
            point[0].grad = torch.linalg.solve_triangular(factor, weight_slope / moments.spread, upper=False).contiguous()
            point[1].grad, point[2].grad = table_slope * table_scale, slope.sum(0)
            return loss + penalty / 2 * (weight.square().sum() + table.square().sum())

        optimizer = torch.optim.LBFGS(
            point,
            max_iter=self.settings.max_iterations,
            max_eval=self.settings.max_iterations * 2,
            tolerance_grad=self.settings.tolerance,
            tolerance_change=1e-10,
            history_size=20,
            line_search_fn="strong_wolfe",
        )
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        weight, table, bias = straight()
        self.weight, self.table = weight.float().numpy(), table.float().numpy()
        self.bias = (bias - (moments.mean * weight).sum(0)).float().numpy()
        largest = max(float(values.grad.abs().max()) for values in point if values.grad is not None and values.numel())
        return [weight, table, bias], {"iterations": int(optimizer.state[point[0]]["n_iter"]), "largest_gradient": largest}

    def _quality(self, validation: Arrays) -> float:
        """The monitored metric on the validation part, turned so that more is better; 0 without one."""
        if not len(validation):
            return 0.0
        weight = None if validation.weight is None else torch.from_numpy(validation.weight.copy())
        scores = torch.from_numpy(self.scores(validation.features))
        task = self.task.grouped_by(validation.groups)
        metrics = task.validation_metrics(scores, torch.from_numpy(validation.target.copy()), weight)
        monitor = self.task.monitor
        return metrics[monitor.name] if monitor.mode == "max" else -metrics[monitor.name]

    def _chunk_scores(self, chunk: dict[str, Tensor], weight: Tensor, table: Tensor, bias: Tensor) -> Tensor:
        scores = bias.expand(len(next(iter(chunk.values()))), -1)
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
        parameters = [torch.from_numpy(values) for values in (self.weight, self.table, self.bias)]
        return torch.cat([self._chunk_scores(chunk, *parameters) for chunk in _chunks(features)]).numpy()

    def to_onnx(self) -> onnx.ModelProto:
        inputs, terms = {}, []
        if self.features.n_dense:
            inputs["dense"] = spox.argument(spox.Tensor(np.float32, ("N", self.features.n_dense)))
            terms.append(op.gemm(inputs["dense"], op.const(self.weight), op.const(self.bias)))
        if self.features.n_ids:
            inputs["ids"] = spox.argument(spox.Tensor(np.int64, ("N", self.features.n_ids)))
            rows = op.gather(op.const(self.table), op.add(inputs["ids"], op.const(self.offsets)))
            terms.append(op.reduce_sum(rows, op.const(np.array([1])), keepdims=False))
        scores = op.add(*terms) if len(terms) == 2 else terms[0]
        if not self.features.n_dense:
            scores = op.add(scores, op.const(self.bias))
        model = spox.build(inputs, {"scores": scores})
        pin_versions(model)
        return model

    def state(self) -> dict[str, np.ndarray]:
        return {"weight": self.weight, "table": self.table, "bias": self.bias}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.weight, self.table, self.bias = state["weight"], state["table"], state["bias"]


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

    @classmethod
    def of(cls, train: Arrays, offsets: np.ndarray, n_categories: int) -> Moments:
        dense = train.features.get("dense", np.zeros((len(train), 0), np.float32))
        mean = torch.from_numpy(dense.mean(axis=0, dtype=np.float64))
        deviation = torch.from_numpy(dense.std(axis=0, dtype=np.float64))
        spread = torch.where(deviation > 0, deviation, 1.0)
        n = dense.shape[1]
        correlation = torch.eye(n)
        if 0 < n <= MOST_CORRELATED:
            correlation = torch.zeros(n, n)
            for chunk in _chunks({"dense": dense}):
                z = (chunk["dense"] - mean.float()) / spread.float()
                correlation.addmm_(z.t(), z)
            correlation /= len(train)
        counts = np.zeros(n_categories)
        for column, offset in zip(train.features["ids"].T if n_categories else [], offsets, strict=True):
            counts += np.bincount(column + offset, minlength=n_categories)
        frequency = torch.from_numpy(counts / len(train))
        return cls(mean[:, None], spread[:, None], correlation.double(), frequency[:, None])

    def factor(self, penalty: float) -> Tensor:
        """Lower Cholesky factor (n_dense, n_dense) of about the loss's curvature along the scaled columns."""
        curvature = CURVATURE * self.correlation + torch.diag(penalty / self.spread[:, 0] ** 2 + SMALLEST_CURVATURE)
        factor: Tensor = torch.linalg.cholesky(curvature)
        return factor

    def table_scale(self, penalty: float) -> Tensor:
        """(n_categories, 1)."""
        return (CURVATURE * self.frequency + penalty + SMALLEST_CURVATURE).rsqrt()


def _chunks(features: FeatureArrays) -> Iterator[dict[str, Tensor]]:
    n = len(next(iter(features.values())))
    for start in range(0, max(n, 1), CHUNK_ROWS):
        rows = {name: values[start : start + CHUNK_ROWS] for name, values in features.items()}
        # Torch warns of arrays that cannot be written to, as memory maps.
        yield {name: torch.from_numpy(values if values.flags.writeable else values.copy()) for name, values in rows.items()}
