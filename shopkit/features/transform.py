"""Running the feature graph over a whole file, into arrays ready for training."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.features.base import FeatureSpec
from shopkit.features.sequences import SEQUENCE_TENSORS
from shopkit.features.subgraph import towards, without_inputs
from shopkit.runtime.sequences import flatten, padded, same_lengths
from shopkit.schema import INPUT_PREFIX, LENGTHS, LENGTHS_INPUT, MISSING_TIME, Column

BATCH_ROWS = 16_384
"""Rows at once: enough to hide the cost of a call, few enough that intermediate arrays stay near the caches."""
DTYPES: dict[str, type] = {
    "dense": np.float32,
    "ids": np.int64,
    "sequence_dense": np.float32,
    "sequence_ids": np.int64,
    LENGTHS: np.int64,
}
SEQUENCE_BATCH_ROWS = 2048
"""Rows at once where each has many steps."""


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
        part → tensor (`dense`, `ids`; a tensor of width 0 is left out) → (rows of the part, width). Of sequences,
        `sequence_dense` and `sequence_ids` (rows of the part, steps, width), all parts padded to the longest row, and `lengths`.
    """
    n_rows = pq.read_metadata(examples).num_rows
    masks = {part: as_mask(rows, n_rows) for part, rows in parts.items()}
    plain, of_sequences = towards(model, {"dense", "ids"}), towards(model, {*SEQUENCE_TENSORS, LENGTHS})
    results: dict[str, dict[str, np.ndarray]] = {part: {} for part in parts}
    if plain is not None:
        results = _transform_plain(plain, spec, examples, masks, folder, batch_rows)
    if of_sequences is not None:
        found = _transform_sequences(of_sequences, spec, examples, masks, folder)
        results = {part: {**tensors, **found[part]} for part, tensors in results.items()}
    return results


def _transform_plain(
    model: onnx.ModelProto,
    spec: FeatureSpec,
    examples: Path,
    masks: Mapping[str, np.ndarray],
    folder: Path | None,
    batch_rows: int,
) -> dict[str, dict[str, np.ndarray]]:
    graph = BatchGraph(model, spec)
    file = pq.ParquetFile(examples, read_dictionary=graph.strings)
    widths = spec.widths
    results = {
        part: {t: allocate(folder, f"{part}_{t}", DTYPES[t], (int(mask.sum()), widths[t])) for t in graph.tensors}
        for part, mask in masks.items()
    }
    filled = dict.fromkeys(masks, 0)
    # Made once: a fresh array of this size for each batch costs more in page faults than what is written into it.
    scratch: dict[str, np.ndarray] = {tensor: np.empty((batch_rows, widths[tensor]), DTYPES[tensor]) for tensor in graph.tensors}
    at = 0
    for batch in file.iter_batches(batch_rows, columns=graph.columns):
        chosen = {part: mask[at : at + len(batch)] for part, mask in masks.items()}
        at += len(batch)
        places = {part: slice(filled[part], filled[part] + int(rows.sum())) for part, rows in chosen.items()}
        filled = {part: place.stop for part, place in places.items()}
        with_rows = [part for part, rows in chosen.items() if rows.any()]
        if len(with_rows) == 1 and chosen[with_rows[0]].all():
            part = with_rows[0]
            graph.run(batch, {tensor: values[places[part]] for tensor, values in results[part].items()})
            continue
        outputs = {tensor: values[: len(batch)] for tensor, values in scratch.items()}
        graph.run(batch, outputs)
        for part, rows in chosen.items():
            for tensor, values in outputs.items():
                np.compress(rows, values, axis=0, out=results[part][tensor][places[part]])
    return results


def _transform_sequences(
    model: onnx.ModelProto, spec: FeatureSpec, examples: Path, masks: Mapping[str, np.ndarray], folder: Path | None
) -> dict[str, dict[str, np.ndarray]]:
    graph = session(model)
    columns = [value.name.removeprefix(INPUT_PREFIX) for value in model.graph.input if value.name != LENGTHS_INPUT]
    outputs = [value.name for value in model.graph.output]
    file = pq.ParquetFile(examples)
    found: list[dict[str, np.ndarray]] = []
    for batch in file.iter_batches(SEQUENCE_BATCH_ROWS, columns=columns):
        flat = {name: flatten(batch.column(name), Column(name, "string", sequence=True)) for name in columns}
        lengths = same_lengths({name: of_column for name, (_, of_column) in flat.items()})
        width = max(1, int(lengths.max(initial=0)))
        feed = {INPUT_PREFIX + name: padded(as_numpy(steps), lengths, width) for name, (steps, _) in flat.items()}
        found.append(dict(zip(outputs, graph.run(outputs, {**feed, LENGTHS_INPUT: lengths}), strict=True)))
    longest = max((int(tensors[LENGTHS].max(initial=0)) for tensors in found), default=0)
    results = {}
    for part, mask in masks.items():
        shapes = {t: (int(mask.sum()), max(1, longest), spec.widths[t]) if t != LENGTHS else (int(mask.sum()),) for t in outputs}
        arrays = {t: allocate(folder, f"{part}_{t}", DTYPES[t], shape) for t, shape in shapes.items()}
        at = row = 0
        for tensors in found:
            chosen = mask[row : row + len(tensors[LENGTHS])]
            row += len(chosen)
            place = slice(at, at + int(chosen.sum()))
            at = place.stop
            for tensor, values in tensors.items():
                if tensor == LENGTHS:
                    arrays[tensor][place] = values[chosen]
                else:
                    steps = values[:, :longest]
                    arrays[tensor][place] = 0
                    arrays[tensor][place, : steps.shape[1]] = steps[chosen]
        results[part] = arrays
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
        self.of_strings: dict[str, list[tuple[str, slice]]] = {tensor: [] for tensor in self.tensors}
        self.of_rest: dict[str, list[tuple[slice, slice]]] = {tensor: [] for tensor in self.tensors}
        for tensor in self.tensors:
            n_rest = 0
            for is_string, run in groupby(
                (block for block in spec.blocks if block.tensor == tensor), key=lambda block: block.column in self.strings
            ):
                blocks = list(run)
                start, stop = blocks[0].start, blocks[-1].start + blocks[-1].width
                if is_string:
                    self.of_strings[tensor] += [(b.column, slice(b.start, b.start + b.width)) for b in blocks]
                else:
                    self.of_rest[tensor].append((slice(n_rest, n_rest + stop - start), slice(start, stop)))
                    n_rest += stop - start
        reduced = without_inputs(model, {INPUT_PREFIX + column for column in self.strings})
        self.rest = None if reduced is None else session(reduced)

    def run(self, batch: pa.RecordBatch, out: Mapping[str, np.ndarray]) -> None:
        """Features of a batch of n rows, written into `out`: tensor → (n, width)."""
        encoded = {column: as_dictionary(batch.column(column)) for column in self.strings}
        n_distinct = max((len(values.dictionary) for values in encoded.values()), default=0)
        numbers = {INPUT_PREFIX + column: as_numpy(batch.column(column)) for column in self.numbers}
        if not encoded or 2 * n_distinct > len(batch):
            strings = {INPUT_PREFIX + column: as_numpy(values.dictionary_decode()) for column, values in encoded.items()}
            for tensor, rows in self._outputs(self.whole, {**numbers, **strings}).items():
                out[tensor][:] = rows
            return
        table = self._outputs(self.whole, self._distinct(encoded, n_distinct))
        codes = {column: values.indices.to_numpy() for column, values in encoded.items()}
        for tensor, places in self.of_strings.items():
            for column, place in places:
                out[tensor][:, place] = np.take(table[tensor][:, place], codes[column], axis=0)
        if self.rest is not None:
            for tensor, rows in self._outputs(self.rest, numbers).items():
                for source, place in self.of_rest[tensor]:
                    out[tensor][:, place] = rows[:, source]

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


def allocate(folder: Path | None, name: str, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    if folder is None:
        return np.empty(shape, dtype)
    return np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
