"""Running the feature graph over a whole file, into arrays ready for training."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.features.base import FeatureSpec
from shopkit.features.blocks import Blocks, Writer, written
from shopkit.features.files import new_array
from shopkit.features.subgraph import padded_texts, towards, without_inputs
from shopkit.features.tensors import ARRAYS, FIXED, Ragged, filled
from shopkit.progress import counted
from shopkit.runtime.blocks import Footprint, blocks, in_blocks
from shopkit.runtime.images import decoded
from shopkit.runtime.sequences import cells, flatten, graph_feed
from shopkit.schema import INPUT_PREFIX, LENGTHS_INPUT, MISSING_TIME, Column, Kind

BATCH_ROWS = 16_384
"""Rows at once: enough to hide the cost of a call, few enough that intermediate arrays stay near the caches."""
READ_ROWS = 2048
"""Rows read at once where rows vary in length."""


def transform(
    model: onnx.ModelProto,
    spec: FeatureSpec,
    examples: Path,
    parts: Mapping[str, np.ndarray],
    folder: Path | None = None,
    batch_rows: int = BATCH_ROWS,
    overrides: Mapping[str, Mapping[int, np.ndarray]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Features of the rows of each part, streamed through ONNX Runtime.

    Args:
        model: the feature graph.
        spec: what it gives.
        examples: Parquet of canonical columns, N rows.
        parts: part → (N,) bool, or ascending row numbers.
        folder: where to write `<part>_<array>.arrow` (of fixed width, see `shopkit.features.blocks`) and `.npy`; None keeps the
            arrays in memory.
        overrides: part → first position → `dense` values (rows of the part, width) that stand there instead.

    Returns:
        part → array of `spec.shapes` → (rows of the part, …), read from their files as they are sliced; one of varying length is
        `Ragged`.
    """
    n_rows = pq.read_metadata(examples).num_rows
    masks = {part: as_mask(rows, n_rows) for part, rows in parts.items()}
    plain, varied = towards(model, FIXED), towards(model, set(ARRAYS) - set(FIXED))
    if plain is not None and any(_column_of(value).kind == "image" for value in plain.graph.input):
        plain, varied = None, model
    results: dict[str, dict[str, Any]] = {part: {} for part in parts}
    if plain is not None:
        for part, arrays in _transform_plain(plain, spec, examples, masks, folder, batch_rows, overrides or {}).items():
            results[part].update(arrays)
    if varied is not None:
        for part, rows in _transform_varied(varied, examples, masks, folder).items():
            results[part].update(rows)
    return results


def _transform_plain(
    model: onnx.ModelProto,
    spec: FeatureSpec,
    examples: Path,
    masks: Mapping[str, np.ndarray],
    folder: Path | None,
    batch_rows: int,
    overrides: Mapping[str, Mapping[int, np.ndarray]],
) -> dict[str, dict[str, Any]]:
    graph = BatchGraph(model, spec)
    widths = spec.widths
    filled = dict.fromkeys(masks, 0)
    # Made once: a fresh array of this size for each batch costs more in page faults than what is written into it.
    scratch: dict[str, np.ndarray] = {
        tensor: np.empty((batch_rows, widths[tensor]), ARRAYS[tensor].dtype) for tensor in graph.tensors
    }
    at = 0
    with pq.ParquetFile(examples, read_dictionary=graph.strings, pre_buffer=False) as file, ExitStack() as open_files:
        kept: dict[tuple[str, str], Writer | InMemory] = {}
        for part, mask in masks.items():
            for tensor in graph.tensors:
                dtype, shape = ARRAYS[tensor].dtype, (int(mask.sum()), widths[tensor])
                if folder is None:
                    kept[part, tensor] = InMemory(dtype, shape)
                else:
                    kept[part, tensor] = open_files.enter_context(written(fixed_path(folder, part, tensor), dtype, shape))
        for batch in counted(file.iter_batches(batch_rows, columns=graph.columns), "transforming", file.metadata.num_rows, len):
            outputs = {tensor: values[: len(batch)] for tensor, values in scratch.items()}
            graph.run(batch, outputs)
            for part, mask in masks.items():
                chosen = mask[at : at + len(batch)]
                place = slice(filled[part], filled[part] + int(chosen.sum()))
                filled[part] = place.stop
                if place.stop == place.start:
                    continue
                for tensor, values in outputs.items():
                    rows = values if chosen.all() else np.compress(chosen, values, axis=0)
                    for start, instead in overrides.get(part, {}).items() if tensor == "dense" else ():
                        rows[:, start : start + instead.shape[1]] = instead[place]
                    kept[part, tensor].add(rows)
            at += len(batch)
    if folder is not None:
        return {part: {tensor: Blocks(fixed_path(folder, part, tensor)) for tensor in graph.tensors} for part in masks}
    return {part: {tensor: kept[part, tensor].values for tensor in graph.tensors} for part in masks}  # type: ignore[union-attr]


class InMemory:
    """Takes rows in any portions, and keeps them."""

    def __init__(self, dtype: type, shape: tuple[int, int]) -> None:
        self.values: np.ndarray = np.empty(shape, dtype)
        self._filled = 0

    def add(self, rows: np.ndarray) -> None:
        self.values[self._filled : self._filled + len(rows)] = rows
        self._filled += len(rows)


def _transform_varied(
    model: onnx.ModelProto, examples: Path, masks: Mapping[str, np.ndarray], folder: Path | None
) -> dict[str, dict[str, Any]]:
    """The arrays that are not `FIXED`, by batches of rows of like length."""
    graph = RowGraph(model)
    written = {part: {name: Growing(folder, f"{part}_{name}", name) for name in graph.outputs} for part in masks}
    at = 0
    file = pq.ParquetFile(examples, pre_buffer=False)
    batches = file.iter_batches(READ_ROWS, columns=[column.name for column in graph.columns])
    for batch in counted(batches, "transforming", file.metadata.num_rows, len):
        chosen = {part: np.flatnonzero(mask[at : at + len(batch)]) for part, mask in masks.items()}
        at += len(batch)
        found = graph.run(batch)
        for part, rows in chosen.items():
            for name, values in found.items():
                written[part][name].add(values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows])
    return {part: {name: growing.finish() for name, growing in arrays.items()} for part, arrays in written.items()}


class RowGraph:
    """A part of the feature graph over record batches, each row's answers cut to its own length."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.session = session(model)
        self.outputs = [value.name for value in model.graph.output]
        self.columns = [_column_of(value) for value in model.graph.input if value.name != LENGTHS_INPUT]
        self.inputs = {column.name: INPUT_PREFIX + column.name for column in self.columns}
        self.footprint = footprint(model)

    def run(self, batch: pa.RecordBatch) -> dict[str, np.ndarray | list[np.ndarray]]:
        """Array → (n, …), or a list of n arrays where rows vary in length."""
        raw = {column.name: _raw(batch.column(column.name), column) for column in self.columns}
        found: dict[str, list[np.ndarray]] = {name: [] for name in self.outputs}
        order = []
        everything = np.arange(len(batch))
        for rows in blocks(raw, self.columns, self.footprint):
            feed = graph_feed({name: values[rows] for name, values in raw.items()}, self.columns, self.inputs, LENGTHS_INPUT)
            arrays = dict(zip(self.outputs, self.session.run(self.outputs, feed), strict=True))
            order.append(everything[rows])
            for name, values in arrays.items():
                if ARRAYS[name].varies:
                    inside = filled(arrays, name)
                    found[name] += [row[places] for row, places in zip(values, inside, strict=True)]
                else:
                    found[name].append(values)
        back = np.argsort(np.concatenate(order)) if order else np.empty(0, np.int64)
        return {
            name: [rows_of[i] for i in back] if ARRAYS[name].varies else np.concatenate(rows_of)[back]
            for name, rows_of in found.items()
            if order
        }


class Growing:
    """An array that is written row by row, in memory or to a file."""

    def __init__(self, folder: Path | None, file: str, name: str) -> None:
        self.kind = ARRAYS[name]
        self.dtype = np.int32 if self.kind.varies and self.kind.dtype is np.int64 else self.kind.dtype
        self.lengths: list[int] = []
        self.shape: tuple[int, ...] = ()
        self.path = None if folder is None else folder / f"{file}.npy"
        self.stream = io.BytesIO() if self.path is None else self.path.with_suffix(".bin").open("wb")

    def add(self, rows: np.ndarray | list[np.ndarray]) -> None:
        """More rows: (n, …), or a list of arrays of their own length."""
        if not len(rows):
            return
        self.shape = rows[0].shape[1:] if self.kind.varies else rows[0].shape
        self.lengths += [len(row) for row in rows] if self.kind.varies else [1] * len(rows)
        block = np.concatenate(rows) if isinstance(rows, list) else rows
        self.stream.write(np.ascontiguousarray(block, self.dtype).data)

    def finish(self) -> np.ndarray | Ragged:
        offsets = np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)]).astype(np.int64)
        shape = (int(offsets[-1]), *self.shape)
        if self.path is None:
            assert isinstance(self.stream, io.BytesIO)
            values = np.frombuffer(self.stream.getvalue(), self.dtype).reshape(shape)
        else:
            self.stream.close()
            values = _with_header(self.path, self.dtype, shape)
            if self.kind.varies:
                np.save(offsets_path(self.path), offsets)
        return Ragged(values, offsets, self.kind.dtype) if self.kind.varies else values


def _with_header(path: Path, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """Make an `.npy` file of the raw values beside it, and map it."""
    raw = path.with_suffix(".bin")
    values = new_array(path, dtype, shape)
    if values.size:
        values[:] = np.memmap(raw, dtype, "r", shape=shape)
        values.flush()
    raw.unlink()
    return values


def offsets_path(path: Path) -> Path:
    """Where the offsets of the ragged array at `path` stand."""
    return path.with_suffix(".offsets.npy")


def fixed_path(folder: Path, part: str, tensor: str) -> Path:
    """Where an array of fixed width stands."""
    return folder / f"{part}_{tensor}.arrow"


def load(folder: Path, part: str, name: str) -> np.ndarray | Ragged | Blocks:
    """An array that `transform` left in the folder, read as it is sliced."""
    if name in FIXED and (blocks := fixed_path(folder, part, name)).is_file():
        return Blocks(blocks)
    path = folder / f"{part}_{name}.npy"
    values: np.ndarray = np.load(path, mmap_mode="r")
    kind = ARRAYS[name]
    return Ragged(values, np.load(offsets_path(path)), kind.dtype) if kind.varies else values


def n_bytes(array: np.ndarray | Ragged | Blocks) -> int:
    """Of an array, once it is in memory."""
    return array.values.nbytes + array.offsets.nbytes if isinstance(array, Ragged) else array.nbytes


def in_memory(array: np.ndarray | Ragged | Blocks) -> np.ndarray | Ragged:
    """All of an array that `load` gave."""
    if isinstance(array, Ragged):
        return Ragged(np.array(array.values), array.offsets, array.dtype)
    return array[:] if isinstance(array, Blocks) else np.array(array)


def _column_of(value: onnx.ValueInfoProto) -> Column:
    name, tensor = value.name.removeprefix(INPUT_PREFIX), value.type.tensor_type
    element, dims = tensor.elem_type, tensor.shape.dim
    if len(dims) == 4:
        return Column(name, "image", channels=dims[3].dim_value)
    kinds: dict[int, Kind] = {onnx.TensorProto.STRING: "string", onnx.TensorProto.INT64: "time"}
    return Column(name, kinds.get(element, "number"), double=element == onnx.TensorProto.DOUBLE, sequence=len(dims) == 2)


def _raw(values: pa.Array, column: Column) -> np.ndarray:
    """Canonical values of a canonical Parquet column."""
    if column.kind == "image":
        return decoded(values.to_pylist())
    if not column.sequence:
        return as_numpy(values)
    steps, lengths = flatten(values, column)
    return cells(as_numpy(steps), lengths)


def footprint(model: onnx.ModelProto) -> Footprint:
    """What rows take in a feature graph: as long as they are, for texts and sequences."""
    inputs = [value for value in model.graph.input if value.name != LENGTHS_INPUT]
    sequences = {value.name for value in inputs if len(value.type.tensor_type.shape.dim) == 2}
    long = padded_texts(model) | sequences
    return Footprint(tuple(value.name.removeprefix(INPUT_PREFIX) for value in inputs if value.name in long))


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
        self.footprint = footprint(model)
        reduced = without_inputs(model, {INPUT_PREFIX + column for column in self.strings})
        self.rest = None if reduced is None else session(reduced)

    def run(self, batch: pa.RecordBatch, out: Mapping[str, np.ndarray]) -> None:
        """Features of a batch of n rows, written into `out`: tensor → (n, width)."""
        encoded = {column: as_dictionary(batch.column(column)) for column in self.strings}
        n_distinct = max((len(values.dictionary) for values in encoded.values()), default=0)
        numbers = {column: as_numpy(batch.column(column)) for column in self.numbers}
        if not encoded or 2 * n_distinct > len(batch):
            strings = {column: as_numpy(values.dictionary_decode()) for column, values in encoded.items()}
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

    def _outputs(self, session: ort.InferenceSession, raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [value.name for value in session.get_outputs()]

        def answer(some: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            feed = {INPUT_PREFIX + column: values for column, values in some.items()}
            return dict(zip(names, session.run(names, feed), strict=True))

        # Rows as many as they are, unless texts among them are split, e.g. for vectors of their words.
        texts = self.footprint.columns and self.footprint.columns[0] in raw
        return in_blocks(raw, (), self.footprint, answer) if texts else answer(raw)

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
            feed[column] = values
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
