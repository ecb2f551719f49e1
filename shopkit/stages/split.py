"""Who is trained on, who is validated on, who is tested on; and what the target is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.raw import group_codes, time_ranges
from shopkit.runs import replacing
from shopkit.schema import PARTS, Schema
from shopkit.split import Rows, Split, assign
from shopkit.tasks.base import Task

if TYPE_CHECKING:
    from shopkit.stages.way import Way


def run(way: Way) -> tuple[str, dict[str, Any]]:
    split: Split = way.registry.build(way.experiment.split)
    schema = Schema.from_json(way.facts("examples")["schema"])
    n_rows = way.facts("examples")["n_rows"]
    parts = assign(split, schema, n_rows, lambda name: way.read([name])[name])
    keys = [column.name for role in ("key", "time") for column in schema.of_role(role)]
    table = pa.table({**way.read(keys), "part": pa.array(parts, pa.string())})
    with replacing(way.run.split_path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    task: Task = way.registry.build(way.experiment.task)
    task.grouped_by(group_codes(way.run.examples_path, schema))
    target, weight = (way.column(role, schema=schema) for role in ("target", "weight"))
    assert target is not None
    n_train = int((parts == "train").sum())
    task.fit_examples(Rows(schema, n_train, lambda name: way.read_rows([name], parts == "train")[name]))
    task.fit_target(target[parts == "train"], None if weight is None else weight[parts == "train"])
    counts = {str(name): int(count) for name, count in zip(*np.unique(parts.astype(str), return_counts=True), strict=True)}
    facts = {
        "counts": counts,
        "times": time_ranges(way.column("time", schema=schema), parts),
        "not_features": [name for name in split.not_features if name in schema],
        "task": task.state,
    }
    return ", ".join(f"{part} {counts[part]:,}" for part in [*PARTS, *sorted(set(counts) - set(PARTS))]), facts
