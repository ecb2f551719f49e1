"""A network, neighbours of the session, and what follows what, together.

They err on different sessions: the network knows orders and what items have in common, the others remember (Jannach, Ludewig:
When recurrent neural networks meet the neighborhood for session-based recommendation, 2017).
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
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
from shopkit_recommend.models.histories import n_interactions
from shopkit_recommend.models.inputs import item_block
from shopkit_recommend.models.markov import Markov
from shopkit_recommend.models.network import Network
from shopkit_recommend.models.network_settings import BlendSettings
from shopkit_recommend.models.pairs import Pairs
from shopkit_recommend.models.recommender import Recommender, refuse_weights
from shopkit_recommend.models.sasrec import SASRec
from shopkit_recommend.models.seen import mask_seen_graph, mask_seen_rows, seen_in
from shopkit_recommend.models.session_knn import SessionKnn
from shopkit_recommend.models.settings import PairsSettings

BYTES_OF_INTERACTION = 85
"""As of `Recommender`, of all members."""
ROWS = 256
"""Rows of the validation part that are scored at once."""
NOTHING = 1e-12
"""Keeps nothing by nothing at 0, where nobody says anything."""

Weights = tuple[float, ...]
"""Of the neighbours, of the followers and of the pairs; the network has the rest."""


class Blend(Estimator):
    """Scores (N, n_items): the weighted sum of each member's probabilities to a power: the network's softmax, and the shares of
    the scores of those that remember: neighbours, followers and pairs. Of the weights that are offered, those that validate best
    are kept; members that then weigh nothing are not in the file."""

    settings: BlendSettings

    def __init__(self, settings: BlendSettings, features: FeatureSpec, task: Task) -> None:
        super().__init__(settings, features, task)
        self.seen_in = seen_in(features, item_block(features, task.n_outputs, "blend"))
        # What is seen is masked once, at the end.
        self.network = self._new_network()
        self.remembering: dict[str, Recommender] = {
            "neighbour": SessionKnn(replace(settings.neighbours, exclude_seen=False), features, task),
            "follower": Markov(replace(settings.followers, exclude_seen=False), features, task),
            "pair": Pairs(PairsSettings(), features, task),
        }
        offered: list[list[float]] = [getattr(settings, f"{name}_weights") for name in self.remembering]
        self.offered: list[Weights] = [weights for weights in itertools.product(*offered) if sum(weights) <= 1]
        self.weights = self.offered[0]

    def _new_network(self) -> Network:
        if self.settings.network == "sasrec":
            return SASRec(replace(self.settings.sasrec, exclude_seen=False), self.features, self.task.n_outputs)
        return GRU4Rec(replace(self.settings.gru4rec, exclude_seen=False), self.features, self.task.n_outputs)

    def fit(self, train: Arrays, validation: Arrays, seed: int) -> dict[str, Any]:
        refuse_weights("blend", train)
        facts: dict[str, Any] = {}
        for member in self.remembering.values():
            facts |= member.fit(train, validation, seed)
            if isinstance(member, Markov):
                member.popularity = np.zeros_like(member.popularity)  # which is the network's to know
        torch.manual_seed(seed)
        self.network = self._new_network()
        if self.settings.aging:
            train = self._aged(train)
        with tempfile.TemporaryDirectory() as folder:
            result = fit(self.network, self.task, train, validation, self.settings.trainer, folder=Path(folder), seed=seed)
        facts |= {"epochs": len(result.history), "best_epoch": result.best_epoch + 1}
        self.weights = self.offered[0]
        if len(self.offered) > 1 and len(validation):
            found = self._validated(validation)
            name, mode = self.task.monitor.name, self.task.monitor.mode
            self.weights = (max if mode == "max" else min)(found, key=lambda weights: found[weights][name])
            facts |= {
                f"validation_{name}_of_{'_'.join(f'{weight:g}' for weight in weights)}": values[name]
                for weights, values in found.items()
            }
        return facts | {f"{name}_weight": weight for name, weight in zip(self.remembering, self.weights, strict=True)}

    def holds(self, train: Arrays, validation: Arrays) -> int:
        """The sessions that it remembers, and what counting pairs takes beside them; the network's rows are read in blocks."""
        return BYTES_OF_INTERACTION * n_interactions(train)

    def _aged(self, train: Arrays) -> Arrays:
        """With weights that fall with age, and are 1 on average as before."""
        left = np.exp(-self.settings.aging * np.linspace(1, 0, len(train))).astype(np.float32)
        return replace(train, weight=left / left.mean())

    def _validated(self, validation: Arrays) -> dict[Weights, dict[str, float]]:
        summaries: dict[Weights, list[torch.Tensor]] = {weights: [] for weights in self.offered}
        for start in range(0, len(validation), ROWS):
            rows = slice(start, start + ROWS)
            batch = take(validation.features, rows)
            members = self._members(batch, np.max(self.offered, axis=0))
            target = torch.from_numpy(np.array(validation.target[rows]))
            for weights, summary in summaries.items():
                summary.append(self.task.summary(torch.from_numpy(self._joined(members, batch, weights)), target))
        target = torch.from_numpy(np.array(validation.target))
        of_rows = None if validation.weight is None else torch.from_numpy(np.array(validation.weight))
        task = self.task.grouped_by(validation.groups)
        return {weights: task.validation_metrics(torch.cat(summary), target, of_rows) for weights, summary in summaries.items()}

    def scores(self, features: FeatureArrays) -> np.ndarray:
        batch = take(features, slice(None))
        return self._joined(self._members(batch, self.weights), batch, self.weights)

    def _members(self, batch: dict[str, np.ndarray], weights: Sequence[float]) -> list[np.ndarray | None]:
        """Probabilities to the power, of the network first; None of those that weigh nothing."""
        probabilities = torch.softmax(torch.from_numpy(model_scores(self.network, batch)), 1).numpy()
        members: list[np.ndarray | None] = [self._powered(probabilities)]
        for member, weight in zip(self.remembering.values(), weights, strict=True):
            if weight:
                scores = member.scores(batch)
                shares = scores / (scores.sum(1, keepdims=True) + np.float32(NOTHING))
                members.append(self._powered(np.maximum(shares, 0)))
            else:
                members.append(None)
        return members

    def _powered(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(values ** np.float32(self.settings.power), np.float32)

    def _joined(self, members: Sequence[np.ndarray | None], batch: dict[str, np.ndarray], weights: Weights) -> np.ndarray:
        parts = zip(members, (1 - sum(weights), *weights), strict=True)
        scores = np.asarray(sum(np.float32(weight) * member for member, weight in parts if weight and member is not None))
        if self.settings.exclude_seen:
            return mask_seen_rows(scores, np.concatenate([batch[name][:, :, at] for name, at in self.seen_in.items()], 1))
        return scores

    def to_onnx(self) -> onnx.ModelProto:
        shapes = self.features.shapes
        inputs = {name: spox.argument(spox.Tensor(ARRAYS[name].dtype, ("N", *dims))) for name, dims in shapes.items()}
        power, last = op.const(np.float32(self.settings.power)), op.const(np.array([1], np.int64))

        def scores(model: onnx.ModelProto) -> spox.Var:
            return spox.inline(model)(**{value.name: inputs[value.name] for value in model.graph.input})["scores"]

        members = [(op.softmax(scores(to_onnx(self.network, self.features)), axis=1), 1 - sum(self.weights))]
        for member, weight in zip(self.remembering.values(), self.weights, strict=True):
            if weight:
                found = scores(member.to_onnx())
                share = op.div(found, op.add(op.reduce_sum(found, last, keepdims=1), op.const(np.float32(NOTHING))))
                members.append((op.max([share, op.const(np.float32(0))]), weight))
        weighed = [op.mul(op.pow(member, power), op.const(np.float32(weight))) for member, weight in members]
        joined = op.sum(weighed)
        if self.settings.exclude_seen:
            seen = [op.gather(inputs[name], op.const(np.int64(at)), axis=2) for name, at in self.seen_in.items()]
            joined = mask_seen_graph(joined, op.concat(seen, axis=1))
        model = spox.build(inputs, {"scores": joined})
        pin_versions(model)
        return model

    def state(self) -> dict[str, np.ndarray]:
        network = {name: values.numpy() for name, values in self.network.state_dict().items()}
        parts = {"network": network, **{name: member.state() for name, member in self.remembering.items()}}
        state = {f"{part}.{name}": values for part, learnt in parts.items() for name, values in learnt.items()}
        return {**state, "weights": np.array(self.weights)}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        def of(part: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(f"{part}."): values for name, values in state.items() if name.startswith(f"{part}.")}

        self.network.load_state_dict({name: torch.from_numpy(values) for name, values in of("network").items()})
        self.network.eval()
        for name, member in self.remembering.items():
            member.load_state(of(name))
        self.weights = tuple(state["weights"].tolist())
