"""Fitting features on small tables in memory, the public way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.features.base import FeatureBlock
from shopkit.features.graph import FittedFeatures, fit
from shopkit.features.plan import ResolvedPlan, resolve
from shopkit.features.settings import FeaturePlan
from shopkit.features.training_part import training_part
from shopkit.features.transform import session
from shopkit.registry import load_registry
from shopkit.schema import INPUT_PREFIX, Column, Schema

REGISTRY = load_registry()


@dataclass(frozen=True)
class Fitted:
    features: FittedFeatures
    plan: ResolvedPlan
    states: dict[str, Any]
    """column → state of its first extractor"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "session", session(self.features.model))

    def run(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        feed = {INPUT_PREFIX + name: values for name, values in columns.items()}
        names = [value.name for value in self.session.get_outputs()]  # type: ignore[attr-defined]
        return dict(zip(names, self.session.run(names, feed), strict=True))  # type: ignore[attr-defined]

    def of_column(self, column: str, values: np.ndarray) -> np.ndarray:
        """The graph's positions of one column, of a table that has this column only."""
        outputs = self.run({column: values})
        return np.column_stack([outputs[b.tensor][:, b.start : b.start + b.width] for b in self.blocks(column)])

    def reference(self, column: str, values: np.ndarray) -> np.ndarray:
        extractor = next(a.extractor for a in self.plan.assignments if a.column.name == column)
        return extractor.reference(values, self.states[column])

    def blocks(self, column: str) -> list[FeatureBlock]:
        return [block for block in self.features.spec.blocks if block.column == column]


def column_of(name: str, values: np.ndarray) -> Column:
    kind = {"f": "number", "O": "string", "i": "time"}[values.dtype.kind]
    return Column(name, kind, double=values.dtype == np.float64)  # type: ignore[arg-type]


def texts(values: Collection[str]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = list(values)
    return array


def floats(values: Collection[float]) -> np.ndarray:
    return np.array(list(values), np.float32)


def fit_table(
    table: Mapping[str, np.ndarray],
    plan: FeaturePlan | None = None,
    tags: Collection[str] = (),
    is_train: np.ndarray | None = None,
    **context: Any,
) -> Fitted:
    """Fit a plan on a table; `context` goes to `training_part`."""
    n_rows = len(next(iter(table.values())))
    schema = Schema(tuple(column_of(name, values) for name, values in table.items()))
    with TemporaryDirectory() as folder:
        path = write(table, Path(folder) / "examples.parquet")
        with training_part(path, np.ones(n_rows, bool) if is_train is None else is_train, **context) as part:
            resolved = resolve(plan or FeaturePlan(), schema, part, tags, REGISTRY)
            features = fit(resolved, part)
    states: dict[str, Any] = {}
    for group in features.groups:
        for assignment, state in zip(group.assignments, group.states, strict=True):
            states.setdefault(assignment.column.name, state)
    return Fitted(features, resolved, states)


def fit_column(values: np.ndarray, spec: Any, **context: Any) -> Fitted:
    """Fit one extractor on one column called `x`."""
    return fit_table({"x": values}, FeaturePlan(columns={"x": spec}), **context)


def write(table: Mapping[str, np.ndarray], path: Path) -> Path:
    arrays = {name: pa.array(values, pa.string() if values.dtype == object else None) for name, values in table.items()}
    pq.write_table(pa.table(arrays), path)
    return path
