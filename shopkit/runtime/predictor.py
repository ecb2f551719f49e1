"""Raw rows in, decisions out, through an exported file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shopkit.errors import DataError, nearest
from shopkit.runtime.artifact import Description, Providers, describe, open_session
from shopkit.runtime.blocks import blocks, in_blocks, ran_out_of_memory
from shopkit.runtime.canonical import canonical_value, canonicalise
from shopkit.runtime.one_row import SCALARS, OneRow
from shopkit.runtime.sequences import cells, graph_feed, lengths_of
from shopkit.schema import Schema


class Predictor:
    """An exported file, ready to answer, to several threads at once. One that is pickled, as for another process, opens its file
    there again.

    Args:
        path: a `model.onnx`, or the run folder that holds it.
        threads: intra-op threads of ONNX Runtime; 0 is one for each core.
        providers: ONNX Runtime execution providers, the preferred first; the CPU by default, and where a provider lacks an
            operator.
        options: what the file can be asked for beside the columns (`description.options`), for all calls, e.g. `k=20`; None
            is what holds if nothing is said.

    Raises:
        ArtifactError: no such file, not an ONNX file, or not one of shopkit's; a provider that is not here.
        ConfigError: not a number of threads.
        DataError: an option that the file does not have, or of another type.
    """

    def __init__(self, path: str | Path, *, threads: int = 1, providers: Providers | None = None, **options: Any) -> None:
        path = Path(path)
        path = path / "model.onnx" if path.is_dir() else path
        session = open_session(path, threads, providers)
        again = partial(type(self), path, threads=threads, providers=providers, **options)
        self._ready(path, session, describe(session, path), options, again)

    def _ready(
        self, path: Path, session: Any, description: Description, options: Mapping[str, Any], again: Callable[[], Predictor]
    ) -> None:
        self.path, self.session, self.description, self._again = path, session, description, again
        self.schema: Schema = description.schema
        self._columns = [(column, self.description.inputs[column.name]) for column in self.schema.of_role("feature")]
        self._one_row = OneRow(self._columns)
        self._sequences = {column.name for column, _ in self._columns if column.sequence}
        self._images = {column.name for column, _ in self._columns if column.kind == "image"}
        self._keys = [column.name for column in self.schema.of_role("key")]
        self._outputs = [output["name"] for output in self.description.outputs]
        self._options = self.description.options
        self._footprint = self.description.footprint
        self._given: dict[str, np.ndarray] = {}
        defaults = {option["name"]: option["default"] for option in self._options}
        self._given = self._asked({**defaults, **options})

    def __reduce__(self) -> tuple[Callable[[], Predictor], tuple[()]]:
        return self._again, ()

    @property
    def inputs(self) -> Schema:
        """The raw columns it takes."""
        return Schema(self.schema.of_role("feature"))

    def __call__(self, data: Any, **options: Any) -> Any:
        """Predict. The answer comes in the shape of the question.

        Args:
            data: one row as a dict of values; many as a list of dicts, a dict of columns, or a pandas DataFrame. A value of a
                sequence column is a list; one of an image column is a uint8 array (height, width, channels), and many are a list
                of those or one array (N, height, width, channels).
            options: what is asked for beside the columns, for this call, e.g. `k=20`.

        Returns:
            dict of values; list of dicts; dict of arrays; DataFrame with the same index. Key columns that are present are
            carried through. An output with one value per class becomes one entry per class in rows and DataFrames
            (`probability.red`).

        Raises:
            DataError: a column is missing, a value has the wrong type, or the sequences of a row differ in length.
        """
        asked = self._asked(options)
        if isinstance(data, Mapping):
            # Not one by one where no value can be a column: that alone would be a tenth of a row's time.
            if not SCALARS.issuperset(map(type, data.values())) and self._holds_columns(data):
                return self._carried_columns(data) | self.columns(data, options=asked)
            return self._row(data, asked)
        if hasattr(data, "iloc") and hasattr(data, "columns"):
            return self._frame(data, asked)
        if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
            return self._rows(data, asked)
        package = type(data).__module__.partition(".")[0]
        raise DataError(
            f"Cannot predict from {type(data).__name__} ({package}): give a dict, a list of dicts or a pandas DataFrame; a table "
            "of another kind as a dict of its columns."
        )

    def columns(self, data: Any, first_row: int = 0, options: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """Outputs of a table given by columns (dict of arrays, DataFrame or Arrow batch): name → (N,) or (N, n_classes)."""
        return self.answer(self.canonical(data, first_row), first_row, options)

    def canonical(self, data: Any, first_row: int = 0) -> dict[str, np.ndarray]:
        """The canonical input columns of a table given by columns; raises `DataError`."""
        raw = {c.name: canonicalise(self._column(data, c.name), c, first_row) for c, _ in self._columns}
        lengths = {name: len(values) for name, values in raw.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"Columns differ in length: {lengths}.")
        return raw

    def answer(
        self, raw: Mapping[str, np.ndarray], first_row: int = 0, options: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Outputs of canonical columns, of any number of rows: they go through the graph block by block, see
        `shopkit.runtime.blocks`. Images may differ in size from row to row.

        Raises:
            DataError: sequences of one row that differ in length, or rows that do not fit into memory.
        """
        columns = [column for column, _ in self._columns]
        if not len(next(iter(raw.values()))):
            # Some operators refuse no rows, and ONNX Runtime's LSTM ends the process over them: what an answer is like, a row of
            # missing values tells.
            row = {column.name: canonicalise([None], column) for column in columns}
            return {name: values[:0] for name, values in self.answer(row, first_row, options).items()}
        if self._sequences:
            lengths_of(raw, columns, first_row)  # here a row still has its own number
        try:
            return in_blocks(raw, columns, self._footprint, lambda some: self.run(self.feed(some) | dict(options or {})))
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            raise self._too_large(raw, first_row) from error

    def feeds(self, raw: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        """The inputs of the graph for canonical columns, a block at a time; the longest rows may come first."""
        for rows in blocks(raw, [column for column, _ in self._columns], self._footprint):
            yield self.feed({name: values[rows] for name, values in raw.items()})

    def feed(self, raw: Mapping[str, np.ndarray], least: int = 1) -> dict[str, np.ndarray]:
        """Canonical columns, and the options of all calls, as the inputs of the graph; see
        `shopkit.runtime.sequences.graph_feed`."""
        columns, names = [column for column, _ in self._columns], self.description.inputs
        return graph_feed(raw, columns, names, self.description.lengths, least=least) | self._given

    def _asked(self, options: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The inputs of the graph for the options of all calls, and those given in their stead."""
        known = {option["name"]: option for option in self._options}
        asked = dict(self._given)
        for name, value in options.items():
            if name not in known:
                raise DataError(
                    f"{self.path.name} has no option '{name}'.{nearest(name, known)} Options: {', '.join(known) or 'none'}."
                )
            asked[known[name]["input"]] = self._option(known[name], value)
        return asked

    def _option(self, option: Mapping[str, Any], value: Any) -> np.ndarray:
        """An option's value as the graph takes it; None is its default, and those of a column are read as the column's."""
        value = option["default"] if value is None else value
        name = option.get("column", "")
        if name in self.schema and len(option.get("shape", [])) == np.ndim(value) == 1:
            column = replace(self.schema[name], sequence=False)
            try:
                value = canonicalise(np.asarray(value, object), column)
            except DataError as error:
                place = f"Column '{name}', row"
                raise DataError(str(error).replace(place, f"Option '{option['name']}', item", 1)) from None
        return _option(option, value)

    def run(self, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs of canonical inputs, named as in the graph."""
        return dict(zip(self._outputs, self.session.run(self._outputs, feed), strict=True))

    def require(self, given: Sequence[str]) -> None:
        """Check that every column it needs is among those given; raises `DataError`."""
        for column, _ in self._columns:
            if column.name not in given:
                raise self._missing(column.name, given)

    # -- shapes of data -----------------------------------------------------------------------------------------

    def _row(self, row: Mapping[str, Any], options: Mapping[str, np.ndarray]) -> dict[str, Any]:
        try:
            feed = self._one_row.feed(row) or {n: canonical_value(row[column.name], column) for column, n in self._columns}
        except KeyError as error:
            raise self._missing(error.args[0], row) from None
        if self._sequences or self._images:
            feed = self.feed({column.name: feed[name] for column, name in self._columns})
        try:
            answers = self.session.run(self._outputs, feed | options)  # type: ignore[operator]
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            raise self._too_large({column.name: feed[name] for column, name in self._columns}, 0) from error
        result = self._carried(row)
        for output, values in zip(self.description.outputs, answers, strict=True):
            if values.ndim == 1:
                result[output["name"]] = values.item() if values.dtype != object else values[0]
            else:
                result.update(_named(output, values[0].tolist()))
        return result

    def _rows(self, rows: Sequence[Mapping[str, Any]], options: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        for i, row in enumerate(rows):
            if not hasattr(row, "keys"):
                raise DataError(
                    f"Row {i}: {row!r} ({type(row).__name__}) is not a dict. Give one for each row, of values by column."
                )
            for column, _ in self._columns:
                if column.name not in row:
                    raise DataError(f"Row {i}: {self._missing(column.name, row)}")
        given = {column.name: [row[column.name] for row in rows] for column, _ in self._columns}
        outputs = self.columns(given, options=options)
        answers = []
        for i, row in enumerate(rows):
            answer = self._carried(row)
            for output in self.description.outputs:
                value = outputs[output["name"]][i]
                answer.update(_named(output, value.tolist() if isinstance(value, np.ndarray) else _item(value)))
            answers.append(answer)
        return answers

    def _frame(self, frame: Any, options: Mapping[str, np.ndarray]) -> Any:
        if not frame.columns.is_unique:
            twice = {*frame.columns[frame.columns.duplicated()]} & {*self.schema.names}
            if twice:
                raise DataError(f"The data have several columns '{min(twice)}', and one is to be read. Leave out the others.")
        carried = {name: frame[name] for name in self._keys if name in frame.columns}
        # One frame of all columns: each that is put into a frame later costs as much as scoring some hundred rows.
        return type(frame)(carried | self.table(self.columns(frame, options=options)), index=frame.index)

    def table(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs as flat columns: one with a value per class becomes a column per class, another with several values a row one
        of lists."""
        flat: dict[str, np.ndarray] = {}
        for output in self.description.outputs:
            values = outputs[output["name"]]
            if output.get("per"):
                flat[output["name"]] = cells(values.reshape(-1), np.full(len(values), values.shape[1], np.int64))
            else:
                flat.update(_named(output, values.T if values.ndim == 2 else values))
        return flat

    def _holds_columns(self, data: Mapping[str, Any]) -> bool:
        """Whether a dict has many rows' values in each of its columns; what the file does not read says nothing of it.

        Raises:
            DataError: some have many, and some one.
        """
        given = [(column, data[column.name]) for column, _ in self._columns if column.name in data]
        plain = {column.name: _is_column(value) for column, value in given if column.kind != "image" and not column.sequence}
        if len({*plain.values()}) > 1:
            one, many = (next(name for name, is_many in plain.items() if is_many is wanted) for wanted in (False, True))
            raise DataError(
                f"Column '{one}' is one value, {data[one]!r} ({type(data[one]).__name__}), and '{many}' is of many rows "
                f"({type(data[many]).__name__}). Give one value for each column, or one array or list for each."
            )
        # A list alone may be one history or many rows.
        return any(plain.values()) if plain else any(self._is_column(column.name, value) for column, value in given)

    def _is_column(self, name: str, value: Any) -> bool:
        """Whether a list or an array has many rows: for a sequence column it is one of lists, for an image column of images."""
        if name in self._images:
            return _is_column(value) and getattr(value, "ndim", 0) not in (2, 3)
        return _is_column(value) and any(_is_column(item) for item in value)

    def _carried_columns(self, data: Mapping[str, Any]) -> dict[str, Any]:
        carried = self._carried(data)
        columns = {**carried, **{column.name: data[column.name] for column, _ in self._columns if column.name in data}}
        lengths = {name: len(values) for name, values in columns.items() if _is_column(values)}
        if len({*lengths.values()}) > 1:
            raise DataError(f"Columns differ in length: {lengths}.")
        return carried

    def _carried(self, data: Any) -> dict[str, Any]:
        return {name: data[name] for name in self._keys if name in data}

    def _column(self, data: Any, name: str) -> Any:
        try:
            return data[name]
        except KeyError:
            raise self._missing(name, data) from None

    def _too_large(self, raw: Mapping[str, np.ndarray], first_row: int) -> DataError:
        """What ONNX Runtime's want of memory means to the person whose rows they are."""
        n_rows = len(next(iter(raw.values())))
        where = f"row {first_row}" if n_rows == 1 else f"rows {first_row} to {first_row + n_rows - 1}"
        longest = [
            (len(values[row]), f"'{column.name}' of row {first_row + row}", column)
            for column, _ in self._columns
            if (values := raw[column.name]).dtype == object and column.kind != "image"
            for row in [int(np.argmax(np.fromiter(map(len, values), np.int64, n_rows)))]
        ]
        length, place, column = max(longest, key=lambda each: each[0], default=(0, "", None))
        advice = f" The longest is {place}, with {length:,} {'steps' if column.sequence else 'characters'}." if column else ""
        return DataError(f"{self.path.name} ran out of memory over {where}.{advice} Cut what is long, or leave it more memory.")

    def _missing(self, name: str, data: Any) -> DataError:
        given = [str(key) for key in (data.columns if hasattr(data, "columns") else data)]
        free = [key for key in given if key not in self.schema]  # not one that is read already
        return DataError(
            f"The data has no column '{name}', which {self.path.name} needs.{nearest(name, free)} "
            f"Give it, with missing values where it is unknown. Columns given: {', '.join(given)}."
        )


def _option(option: Mapping[str, Any], value: Any) -> np.ndarray:
    """
    Raises:
        DataError: a value of another type or shape.
    """
    dtype, shape = option["dtype"], option.get("shape", [])
    is_one = shape in ([], [1])
    array = np.asarray([value] if shape == [1] and np.ndim(value) == 0 else value, object if dtype == "string" else None)
    kinds = {"int64": "iu", "float32": "fiu", "bool": "b"}
    if dtype == "string":
        fits = all(isinstance(item, str) for item in array.reshape(-1))
    else:
        fits = array.size == 0 or (array.dtype.kind in kinds[dtype] and (dtype != "int64" or bool((array < 1 << 63).all())))
    if array.ndim != len(shape) or not fits or (is_one and array.size != 1):
        wanted = f"one {dtype}" if is_one else f"a list of {dtype}"
        raise DataError(f"Option '{option['name']}': {value!r} is not {wanted}. It is: {option['meaning']}.")
    return array if dtype == "string" else array.astype(dtype)


def _is_column(value: Any) -> bool:
    # Not a set: its order is none.
    is_one = isinstance(value, (str, bytes, bytearray, Mapping, Set))
    return not is_one and hasattr(value, "__len__") and getattr(value, "ndim", 1) > 0


def _named(output: Mapping[str, Any], values: Any) -> dict[str, Any]:
    classes = output.get("classes") or ()
    if not classes:
        return {output["name"]: values}
    return {f"{output['name']}.{label}": value for label, value in zip(classes, values, strict=True)}


def _item(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
