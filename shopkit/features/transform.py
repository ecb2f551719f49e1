"""Running the feature graph over a whole file, into arrays ready for training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.features.base import FeatureSpec
from shopkit.features.subgraph import without_inputs
from shopkit.schema import INPUT_PREFIX, MISSING_TIME

BATCH_ROWS = 16_384
"""Rows at once: enough to hide the cost of a call, few enough that intermediate arrays stay near the caches."""
DTYPES = {"dense": np.float32, "ids": np.int64}


def transform(
    model: onnx.ModelProto,
    spec: FeatureSpec,
    examples: Path,
    parts: Mapping[str, np.ndarray],
    folder: Path | None = None,
    batch_rows: int = BATCH_ROWS,
) -> dict[str, dict[str, np.ndarray]]:
    """Features of the rows of each part, streamed through ONNX Runtime.

    Args:
        model: the feature graph.
        spec: what it gives.
        examples: Parquet of canonical columns, N rows.
        parts: part → (N,) bool, or ascending row numbers.
        folder: where to write `<part>_<tensor>.npy`, which come back memory-mapped; None keeps the arrays in memory.

    Returns:
        part → tensor (`dense`, `ids`; a tensor of width 0 is left out) → (rows of the part, width).
    """
    graph = BatchGraph(model, spec)
    file = pq.ParquetFile(examples, read_dictionary=graph.strings)
    masks = {part: as_mask(rows, file.metadata.num_rows) for part, rows in parts.items()}
    widths = {"dense": spec.n_dense, "ids": spec.n_ids}
    results = {
        part: {t: allocate(folder, f"{part}_{t}", int(mask.sum()), DTYPES[t], widths[t]) for t in graph.tensors}
        for part, mask in masks.items()
    }
    filled = dict.fromkeys(parts, 0)
    at = 0
    for batch in file.iter_batches(batch_rows, columns=graph.columns):
        outputs = graph.run(batch)
        for part, mask in masks.items():
            chosen = mask[at : at + len(batch)]
            n = int(chosen.sum())
            for tensor, rows in outputs.items():
                results[part][tensor][filled[part] : filled[part] + n] = rows if n == len(batch) else rows[chosen]
            filled[part] += n
        at += len(batch)
    return results


class BatchGraph:
    """The feature graph over record batches, looking each distinct string up once.

    A string column's features depend on its value alone. So the graph runs over the batch's few distinct strings, the part
    of it that reads no strings over all rows, and the former is spread by the strings' codes: making a million equal
    strings and looking each up costs far more than all the rest.
    """

    def __init__(self, model: onnx.ModelProto, spec: FeatureSpec) -> None:
        self.whole = session(model)
        element = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
        inputs = list(element)
        self.columns = [name.removeprefix(INPUT_PREFIX) for name in inputs]
        self.strings = [c for c, name in zip(self.columns, inputs, strict=True) if element[name] == onnx.TensorProto.STRING]
        self.numbers = [column for column in self.columns if column not in self.strings]
        self.doubles = {c for c, name in zip(self.columns, inputs, strict=True) if element[name] == onnx.TensorProto.DOUBLE}
        self.times = {c for c, name in zip(self.columns, inputs, strict=True) if element[name] == onnx.TensorProto.INT64}
        self.tensors = [value.name for value in self.whole.get_outputs()]
        self.positions: dict[str, dict[str, list[tuple[int, int]]]] = {"dense": {}, "ids": {}}
        for block in spec.blocks:
            of_column = self.positions[block.tensor].setdefault(block.column, [])
            of_column.append((block.start, block.start + block.width))
        self.rest_positions = {
            tensor: np.array(sorted(at for c in self.numbers for low, high in of.get(c, ()) for at in range(low, high)), np.int64)
            for tensor, of in self.positions.items()
        }
        reduced = without_inputs(model, {INPUT_PREFIX + column for column in self.strings})
        self.rest = None if reduced is None else session(reduced)

    def run(self, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        """Features of a batch, by tensor."""
        encoded = {column: as_dictionary(batch.column(column)) for column in self.strings}
        n_distinct = max((len(values.dictionary) for values in encoded.values()), default=0)
        numbers = {INPUT_PREFIX + column: as_numpy(batch.column(column)) for column in self.numbers}
        if not encoded or 2 * n_distinct > len(batch):
            strings = {INPUT_PREFIX + column: as_numpy(values.dictionary_decode()) for column, values in encoded.items()}
            return self._outputs(self.whole, {**numbers, **strings})
        table = self._outputs(self.whole, self._distinct(encoded, n_distinct))
        rest = {} if self.rest is None else self._outputs(self.rest, numbers)
        rows = {}
        for tensor in self.tensors:
            rows[tensor] = np.empty((len(batch), table[tensor].shape[1]), DTYPES[tensor])
            if tensor in rest:
                rows[tensor][:, self.rest_positions[tensor]] = rest[tensor]
            for column, values in encoded.items():
                for start, stop in self.positions[tensor].get(column, ()):
                    rows[tensor][:, start:stop] = table[tensor][:, start:stop][values.indices.to_numpy()]
        return rows

    def _outputs(self, session: ort.InferenceSession, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [value.name for value in session.get_outputs()]
        return dict(zip(names, session.run(names, feed), strict=True))

    def _distinct(self, encoded: Mapping[str, pa.DictionaryArray], n_rows: int) -> dict[str, np.ndarray]:
        """Rows that hold every distinct string of every column, and missing numbers."""
        feed = {}
        for column in self.columns:
            values: np.ndarray
            if column in encoded:
                known = as_numpy(encoded[column].dictionary)
                values = np.full(n_rows, "", object)
                values[: len(known)] = known
            elif column in self.times:
                values = np.full(n_rows, MISSING_TIME, np.int64)
            else:
                values = np.full(n_rows, np.nan, np.float64 if column in self.doubles else np.float32)
            feed[INPUT_PREFIX + column] = values
        return feed


def session(model: onnx.ModelProto, n_threads: int = 1) -> ort.InferenceSession:
    """An ONNX Runtime session of the graph, on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def as_numpy(column: pa.Array) -> np.ndarray:
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values


def as_dictionary(column: pa.Array) -> pa.DictionaryArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def as_mask(rows: np.ndarray, n_rows: int) -> np.ndarray:
    if rows.dtype == bool:
        return rows
    mask = np.zeros(n_rows, bool)
    mask[rows] = True
    return mask


def allocate(folder: Path | None, name: str, n_rows: int, dtype: type, width: int) -> np.ndarray:
    if folder is None:
        return np.empty((n_rows, width), dtype)
    return np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=(n_rows, width))
