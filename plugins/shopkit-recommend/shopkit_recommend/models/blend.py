"""A network and neighbours of the session, together.

They err on different sessions: the network knows orders and what items have in common, neighbours remember (Jannach, Ludewig: When
recurrent neural networks meet the neighborhood for session-based recommendation, 2017).
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.v21 as op
import torch
from shopkit.features.base import FeatureSpec
from shopkit.features.tensors import ARRAYS, FeatureArrays, take
from shopkit.models.base import Arrays, Estimator
from shopkit.models.to_onnx import to_onnx
from shopkit.onnx_format import pin_versions
from shopkit.tasks.base import Task
from shopkit.training.fit import fit
from shopkit.training.scores import model_scores

from shopkit_recommend.models.gru4rec import GRU4Rec
from shopkit_recommend.models.inputs import item_block
from shopkit_recommend.models.network import Network
from shopkit_recommend.models.network_settings import BlendSettings
from shopkit_recommend.models.sasrec import SASRec
from shopkit_recommend.models.seen import mask_seen_graph, mask_seen_rows
from shopkit_recommend.models.session_knn import SessionKnn

ROWS = 512
"""Rows of the validation part that are scored at once."""
NOTHING = 1e-12
"""Keeps nothing by nothing at 0, where no neighbour says anything."""


class Blend(Estimator):
    """Scores (N, n_items): (1 − w) · pᵖ + w · qᵖ of the network's softmax p and the neighbours' shares q, to a power. Of the weights w
    that are offered, the one that validates best is kept."""

    settings: BlendSettings

    def __init__(self, settings: BlendSettings, features: FeatureSpec, task: Task) -> None:
        super().__init__(settings, features, task)
        self.item_at = item_block(features, task.n_outputs, "blend").start
        # What is seen is masked once, at the end.
        self.neighbours = SessionKnn(replace(settings.neighbours, exclude_seen=False), features, task)
        self.network = self._new_network()
        self.weight = settings.weights[0]

    def _new_network(self) -> Network:
        if self.settings.network == "sasrec":
            return SASRec(replace(self.settings.sasrec, exclude_seen=False), self.features, self.task.n_outputs)
        return GRU4Rec(replace(self.settings.gru4rec, exclude_seen=False), self.features, self.task.n_outputs)

    def fit(self, train: Arrays, validation: Arrays, seed: int) -> dict[str, Any]:
        neighbours = self.neighbours.fit(train, validation, seed)
        torch.manual_seed(seed)
        self.network = self._new_network()
        with tempfile.TemporaryDirectory() as folder:
            result = fit(self.network, self.task, train, validation, self.settings.trainer, folder=Path(folder), seed=seed)
        facts = {"epochs": len(result.history), "best_epoch": result.best_epoch + 1, "sessions": neighbours["sessions"]}
        if len(self.settings.weights) > 1 and len(validation):
            found = self._validated(validation)
            name, mode = self.task.monitor.name, self.task.monitor.mode
            self.weight = (max if mode == "max" else min)(found, key=lambda weight: found[weight][name])
            facts |= {f"validation_{name}_of_{weight:g}": values[name] for weight, values in found.items()}
        return facts | {"weight": self.weight}

    def _validated(self, validation: Arrays) -> dict[float, dict[str, float]]:
        summaries: dict[float, list[torch.Tensor]] = {weight: [] for weight in self.settings.weights}
        for start in range(0, len(validation), ROWS):
            rows = slice(start, start + ROWS)
            batch = take(validation.features, rows)
            parts, target = self._parts(batch), torch.from_numpy(np.array(validation.target[rows]))
            for weight, summary in summaries.items():
                summary.append(self.task.summary(torch.from_numpy(self._joined(*parts, batch, weight)), target))
        target = torch.from_numpy(np.array(validation.target))
        weights = None if validation.weight is None else torch.from_numpy(np.array(validation.weight))
        task = self.task.grouped_by(validation.groups)
        return {weight: task.validation_metrics(torch.cat(summary), target, weights) for weight, summary in summaries.items()}

    def scores(self, features: FeatureArrays) -> np.ndarray:
        batch = take(features, slice(None))
        return self._joined(*self._parts(batch), batch, self.weight)

    def _parts(self, batch: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        network = torch.softmax(torch.from_numpy(model_scores(self.network, batch)), 1).numpy()
        neighbours = self.neighbours.scores(batch)
        shares = neighbours / (neighbours.sum(1, keepdims=True) + np.float32(NOTHING))
        power = np.float32(self.settings.power)
        return network**power, np.maximum(shares, 0) ** power

    def _joined(self, network: np.ndarray, neighbours: np.ndarray, batch: dict[str, np.ndarray], weight: float) -> np.ndarray:
        scores = np.float32(1 - weight) * network + np.float32(weight) * neighbours
        return mask_seen_rows(scores, batch["sequence_ids"][:, :, self.item_at]) if self.settings.exclude_seen else scores

    def to_onnx(self) -> onnx.ModelProto:
        widths = self.features.shapes
        inputs = {name: spox.argument(spox.Tensor(ARRAYS[name].dtype, ("N", *dims))) for name, dims in widths.items()}
        network, neighbours = to_onnx(self.network, self.features), self.neighbours.to_onnx()

        def scores(model: onnx.ModelProto) -> spox.Var:
            return spox.inline(model)(**{value.name: inputs[value.name] for value in model.graph.input})["scores"]

        power, last = op.const(np.float32(self.settings.power)), op.const(np.array([1], np.int64))
        p, q = op.softmax(scores(network), axis=1), scores(neighbours)
        q = op.div(q, op.add(op.reduce_sum(q, last, keepdims=1), op.const(np.float32(NOTHING))))
        joined = op.add(
            op.mul(op.pow(p, power), op.const(np.float32(1 - self.weight))),
            op.mul(op.pow(op.max([q, op.const(np.float32(0))]), power), op.const(np.float32(self.weight))),
        )
        if self.settings.exclude_seen:
            ids = op.gather(inputs["sequence_ids"], op.const(np.int64(self.item_at)), axis=2)
            joined = mask_seen_graph(joined, ids)
        model = spox.build(inputs, {"scores": joined})
        pin_versions(model)
        return model

    def state(self) -> dict[str, np.ndarray]:
        network = {f"network.{name}": values.numpy() for name, values in self.network.state_dict().items()}
        neighbours = {f"neighbours.{name}": values for name, values in self.neighbours.state().items()}
        return {**network, **neighbours, "weight": np.array(self.weight)}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        def of(part: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(f"{part}."): values for name, values in state.items() if name.startswith(f"{part}.")}

        self.network.load_state_dict({name: torch.from_numpy(values) for name, values in of("network").items()})
        self.network.eval()
        self.neighbours.load_state(of("neighbours"))
        self.weight = float(state["weight"])
