"""Linear, logistic and softmax regression, fitted to convergence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.v21 as op
import torch
from torch import Tensor

from shopkit.features.base import FeatureSpec
from shopkit.models.base import Arrays, Estimator
from shopkit.models.settings import LinearSettings
from shopkit.models.to_onnx import IR_VERSION
from shopkit.tasks.base import Task

CHUNK_ROWS = 65_536

STRENGTHS = [100.0, 10.0, 1.0]
"""The penalties that `l2: auto` tries."""


class Linear(Estimator):
    """scores = dense · weight + Σ table[id] + bias, minimising the task's loss + l2 / (2 · rows) · ‖weight, table‖².

    Full-batch L-BFGS in float64 (Liu & Nocedal 1989). The loss is convex, so there is nothing to draw at random and nothing to
    stop early. Columns are scaled to variance 1 for the optimiser's sake only: the penalty is that of the weights as they are.
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
        point = [torch.zeros(shape, dtype=torch.float64) for shape in (self.weight.shape, self.table.shape)]
        point.append(torch.tensor(np.asarray(self.task.initial_bias()), dtype=torch.float64))
        best, best_score = self.state(), -np.inf
        facts: dict[str, Any] = {}
        # From strong to weak, each starting where the one before ended.
        for l2 in strengths:
            found = {"l2": l2, **self._minimise(train, l2, point)}
            score = self._quality(validation)
            if not facts or score > best_score:
                best, best_score, facts = self.state(), score, found
        self.load_state(best)
        held_out = {"validation_loss": self._loss(validation)} if len(validation) else {}
        return {**facts, "train_loss": self._loss(train), **held_out}

    def _minimise(self, train: Arrays, l2: float, point: list[Tensor]) -> dict[str, Any]:
        """Move `point` (scaled weight, table, bias) to the minimum, and take it."""
        scaled, table, bias = point
        target = torch.from_numpy(train.target.copy())
        sample_weight = None if train.weight is None else torch.from_numpy(train.weight.copy())
        spread = torch.from_numpy(_spread(train.features["dense"])) if self.features.n_dense else torch.ones(0)
        penalty = l2 / len(train)
        optimizer = torch.optim.LBFGS(
            point,
            max_iter=self.settings.max_iterations,
            max_eval=self.settings.max_iterations * 2,
            tolerance_grad=self.settings.tolerance,
            tolerance_change=0.0,
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        @torch.no_grad()
        def closure() -> Tensor:
            weight = scaled / spread[:, None]
            scores = torch.cat([self._chunk_scores(chunk, weight, table, bias) for chunk in _chunks(train.features)])
            with torch.enable_grad():
                scores.requires_grad_()
                loss = self.task.loss(scores, target, sample_weight)
                (slope,) = torch.autograd.grad(loss, scores)
            weight_slope, table_slope = penalty * weight, penalty * table
            for chunk, part in zip(_chunks(train.features), torch.split(slope, CHUNK_ROWS), strict=True):
                if "dense" in chunk:
                    weight_slope.addmm_(chunk["dense"].double().t(), part)
                if "ids" in chunk:
                    for ids in (chunk["ids"] + torch.from_numpy(self.offsets)).t():
                        table_slope.index_add_(0, ids, part)
            scaled.grad, table.grad, bias.grad = weight_slope / spread[:, None], table_slope, slope.sum(0)
            return loss + penalty / 2 * (weight.square().sum() + table.square().sum())

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        self.weight = (scaled / spread[:, None]).float().numpy()
        self.table, self.bias = table.float().numpy(), bias.float().numpy()
        largest = max(float(values.grad.abs().max()) for values in point if values.grad is not None and values.numel())
        return {"iterations": int(optimizer.state[scaled]["n_iter"]), "largest_gradient": largest}

    def _quality(self, validation: Arrays) -> float:
        """The monitored metric on the validation part, turned so that more is better; 0 without one."""
        if not len(validation):
            return 0.0
        weight = None if validation.weight is None else torch.from_numpy(validation.weight.copy())
        scores = torch.from_numpy(self.scores(validation.features))
        metrics = self.task.validation_metrics(scores, torch.from_numpy(validation.target.copy()), weight)
        monitor = self.task.monitor
        return metrics[monitor.name] if monitor.mode == "max" else -metrics[monitor.name]

    def _chunk_scores(self, chunk: dict[str, Tensor], weight: Tensor, table: Tensor, bias: Tensor) -> Tensor:
        scores = bias.expand(len(next(iter(chunk.values()))), -1)
        if "dense" in chunk:
            scores = scores + chunk["dense"].to(weight.dtype) @ weight
        if "ids" in chunk:
            scores = scores + table[chunk["ids"] + torch.from_numpy(self.offsets)].sum(1)
        return scores

    def _loss(self, arrays: Arrays) -> float:
        weight = None if arrays.weight is None else torch.from_numpy(arrays.weight.copy())
        scores = torch.from_numpy(self.scores(arrays.features))
        return float(self.task.loss(scores, torch.from_numpy(arrays.target.copy()), weight))

    def scores(self, features: dict[str, np.ndarray]) -> np.ndarray:
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
        model.ir_version = IR_VERSION
        return model

    def state(self) -> dict[str, np.ndarray]:
        return {"weight": self.weight, "table": self.table, "bias": self.bias}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.weight, self.table, self.bias = state["weight"], state["table"], state["bias"]


def _chunks(features: dict[str, np.ndarray]) -> Iterator[dict[str, Tensor]]:
    n = len(next(iter(features.values())))
    for start in range(0, max(n, 1), CHUNK_ROWS):
        # A copy, as torch warns of read-only memory maps.
        yield {name: torch.from_numpy(np.array(values[start : start + CHUNK_ROWS])) for name, values in features.items()}


def _spread(dense: np.ndarray) -> np.ndarray:
    """Standard deviation of every column, float64 (n_dense,); 1 for a constant one."""
    spread = dense.std(axis=0, dtype=np.float64)
    return np.where(spread > 0, spread, 1.0)
