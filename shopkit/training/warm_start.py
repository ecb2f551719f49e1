"""Starting a training from the weights of an earlier run.

What the new data have more of (a category, a column) starts as in any training; all else starts where the earlier run ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shopkit.errors import RunError
from shopkit.models.base import Axis, Model
from shopkit.runs import Run, read_json
from shopkit.training import checkpoint

WEIGHTS = "weights.npz"
VOCABULARIES = "vocabularies.json"
Vocabularies = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Earlier:
    """What a run starts from."""

    run: Run
    vocabularies: Vocabularies
    """Column → categories, in the order of their ids."""
    weights: Mapping[str, Tensor]
    axes: Mapping[str, Axis]

    @classmethod
    def open(cls, path: str, model: str) -> Earlier:
        """An earlier run of the same kind of model.

        Raises:
            RunError: not a complete run, changed since, of another model, or without weights.
        """
        run = Run.open(Path(path).expanduser())
        run.verify()
        if not (run.path / WEIGHTS).is_file():
            raise RunError(
                f"model.init_from: {path} holds no {WEIGHTS}: its model is not trained by gradients, or the run is old."
            )
        saved = checkpoint.load(run.path / WEIGHTS)
        if (other := saved["model"]) != model:
            raise RunError(f"model.init_from: {path} is a run of model {other}, this is model {model}. Choose model={other}.")
        axes = {name: Axis(**axis) for name, axis in saved["axes"].items()}
        return cls(run, read_json(run.path / VOCABULARIES), saved["weights"], axes)


def save_weights(path: Path, name: str, model: Model, vocabularies: Vocabularies) -> None:
    """Keep the weights of a trained model, and what their places stand for."""
    axes = {parameter: vars(axis) for parameter, axis in model.axes(vocabularies).items()}
    checkpoint.save(path, {"model": name, "weights": dict(model.state_dict()), "axes": axes})


@torch.no_grad()
def warm_start(model: Model, earlier: Earlier, vocabularies: Vocabularies) -> dict[str, Any]:
    """Copy what fits, in place.

    Returns:
        Plain facts: `run`, `kept` and `new` (names of parameters), `grown` (name → places `kept`, `new` and `gone`), and
        `summary`, a sentence.

    Raises:
        RunError: nothing fits.
    """
    axes = model.axes(vocabularies)
    kept: list[str] = []
    new: list[str] = []
    grown: dict[str, dict[str, int]] = {}
    for name, values in model.state_dict().items():
        old = earlier.weights.get(name)
        if old is None or old.ndim != values.ndim:
            new.append(name)
        elif name in axes and name in earlier.axes:
            places = _copied(values, old, axes[name], earlier.axes[name])
            if places is None or not places["kept"]:
                new.append(name)
            elif places["new"] or places["gone"]:
                grown[name] = places
            else:
                kept.append(name)
        elif old.shape == values.shape:
            values.copy_(old)
            kept.append(name)
        else:
            new.append(name)
    if not kept and not grown:
        raise RunError(f"model.init_from: nothing of {earlier.run.path} fits this model; its settings or columns are all others.")
    summary = f"{len(kept)} parameters kept, {len(grown)} grown, {len(new)} new"
    added = {column: len(set(words) - set(earlier.vocabularies.get(column, ()))) for column, words in vocabularies.items()}
    if more := ", ".join(f"{column} +{count}" for column, count in added.items() if count):
        summary += f"; new categories: {more}"
    return {"run": str(earlier.run.path), "kept": kept, "grown": grown, "new": new, "summary": summary}


def _copied(values: Tensor, old: Tensor, axis: Axis, old_axis: Axis) -> dict[str, int] | None:
    """Copy the places that have the same label; None where the other dimensions do not fit."""
    dim = axis.dim
    if old_axis.dim != dim:
        return None
    around = [(i, a, b) for i, (a, b) in enumerate(zip(values.shape, old.shape, strict=True)) if i != dim and a != b]
    if any(i != axis.padded for i, _, _ in around):
        return None
    where = {label: place for place, label in enumerate(old_axis.labels)}
    pairs = [(place, where[label]) for place, label in enumerate(axis.labels) if label in where]
    target, source = values, old
    for i, a, b in around:
        target, source = target.narrow(i, 0, min(a, b)), source.narrow(i, 0, min(a, b))
    if pairs:
        here, there = (torch.tensor(places) for places in zip(*pairs, strict=True))
        target.index_copy_(dim, here, source.index_select(dim, there))
    return {"kept": len(pairs), "new": len(axis.labels) - len(pairs), "gone": len(old_axis.labels) - len(pairs)}
