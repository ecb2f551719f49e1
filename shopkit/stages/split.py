"""Who is trained on, who is validated on, who is tested on; and what the target is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.errors import DataError
from shopkit.raw import BATCH_ROWS, group_codes, time_ranges
from shopkit.runs import replacing
from shopkit.schema import PARTS, Schema
from shopkit.split import NAMES, Rows, Split, assign
from shopkit.tasks.base import Task

if TYPE_CHECKING:
    from shopkit.stages.way import Way


def run(way: Way) -> tuple[str, dict[str, Any]]:
    split: Split = way.registry.build(way.experiment.split)
    schema = Schema.from_json(way.facts("examples")["schema"])
    n_rows = way.facts("examples")["n_rows"]
    parts = assign(split, Rows.of_file(schema, n_rows, way.run.examples_path, way.memory))
    _write(way, [column.name for role in ("key", "time") for column in schema.of_role(role)], parts)
    is_train = parts == PARTS.index("train")
    task: Task = way.registry.build(way.experiment.task)
    task.grouped_by(group_codes(way.run.examples_path, schema, way.memory))
    target, weight = (way.column(role, schema=schema) for role in ("target", "weight"))
    assert target is not None
    if weight is not None:
        _check_weights(weight, parts)
    task.fit_examples(Rows(schema, int(is_train.sum()), lambda name: way.read_rows([name], is_train)[name]))
    task.fit_target(target[is_train], None if weight is None else weight[is_train])
    for key in [column.name for role in ("key", "time") for column in schema.of_role(role)]:
        if key.lower() in (answers := [output.name for output in task.outputs]):
            raise DataError(
                f"The column '{key}' names the row, and an answer has the same name ({', '.join(answers)}): the predictions "
                "would lose it. Rename it in the source."
            )
    counts = {str(NAMES[code]): int((parts == code).sum()) for code in sorted(set(parts.tolist()), key=NAMES.__getitem__)}
    facts = {
        "counts": counts,
        "times": time_ranges(way.column("time", schema=schema), parts),
        "not_features": [name for name in split.not_features if name in schema],
        "task": task.state,
    }
    return ", ".join(f"{part} {counts[part]:,}" for part in [*PARTS, *sorted(set(counts) - set(PARTS))]), facts


def _check_weights(weight: np.ndarray, parts: np.ndarray) -> None:
    """
    Raises:
        DataError: the rows of a part all weigh 0.
    """
    for code, part in enumerate(PARTS):
        if not (weight[parts == code] > 0).any():
            raise DataError(
                f"The weights of all {int((parts == code).sum()):,} rows of the {part} part are 0, so nothing can be learnt from "
                "it or measured on it. Look at view.weight and at the split."
            )


def _write(way: Way, keys: list[str], parts: np.ndarray) -> None:
    """Keys and part of every example, a batch at a time."""
    start = 0
    with replacing(way.run.split_path) as temporary, pq.ParquetFile(way.run.examples_path, pre_buffer=False) as examples:
        fields = [*(examples.schema_arrow.field(name) for name in keys), pa.field("part", pa.string())]
        with pq.ParquetWriter(temporary, pa.schema(fields), compression="zstd") as writer:
            for batch in examples.iter_batches(BATCH_ROWS, columns=keys):
                of_batch = pa.array(NAMES[parts[start : start + len(batch)]], pa.string())
                writer.write_batch(pa.record_batch([*(batch.column(name) for name in keys), of_batch], schema=pa.schema(fields)))
                start += len(batch)
