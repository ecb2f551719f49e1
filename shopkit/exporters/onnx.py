"""The `onnx` exporter: one self-contained file, compared with the fitted model before it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from shopkit.errors import ExportError
from shopkit.exporters.base import Exported, Exporter, Fitted, Raw, deciding, require_rows
from shopkit.exporters.graph import compose
from shopkit.exporters.operators import special_operators
from shopkit.exporters.settings import OnnxSettings
from shopkit.runs import replacing
from shopkit.runtime import Predictor, canonicalise
from shopkit.runtime.blocks import in_blocks
from shopkit.schema import MISSING_TIME, Column
from shopkit.tasks.base import Decide, Task

UNSEEN = "\u2603 a category that no training row has"
PADDING = 7
"""Steps of padding more than the longest row needs."""
MOST_VALUES = 1 << 24
"""Scores compared at once at most: of many outputs, fewer rows."""


class OnnxExporter(Exporter):
    """Writes `model.onnx`."""

    settings: OnnxSettings

    def export(self, fitted: Fitted, folder: Path) -> Exported:
        model = compose(fitted)
        path = folder / "model.onnx"
        with replacing(path) as temporary:
            temporary.write_bytes(model.SerializeToString(deterministic=True))
            checks = self.check(fitted, Predictor(temporary))
        return Exported(path, checks, {"operators": special_operators(model), "model_operators": special_operators(fitted.model)})

    def check(self, fitted: Fitted, predictor: Predictor) -> dict[str, float]:
        """The parity gate: by situation the largest difference, relative for values beyond 1 (a sale of 10,000 has no digits
        for 1e-5).

        Raises:
            ExportError: there are no rows to compare on, or an answer differs beyond the tolerance; names the situation, output,
                row and both values.
        """
        require_rows(fitted.held_out)
        checks, decide = {}, deciding(fitted.task)
        compare = partial(self._compare, fitted.task, decide)
        for situation, raw in _situations(fitted, self.rows_to_check(fitted)):
            scores = fitted.reference(raw)
            checks[situation] = compare(situation, predictor.answer(raw), scores)
            if situation == "many rows" and predictor.description.lengths:
                wide = in_blocks(raw, predictor.inputs.columns, predictor.description.footprint, partial(_padded, predictor))
                checks["more padding"] = compare("more padding", wide, scores)
        singles = 0.0
        first = _rows(fitted.held_out, slice(0, 8))
        for i in range(len(next(iter(first.values()), ()))):
            raw = _rows(first, slice(i, i + 1))
            answer = predictor.answer(raw)
            singles = max(singles, compare("one row", answer, fitted.reference(raw)))
        return {"one row": singles, **checks}

    def rows_to_check(self, fitted: Fitted) -> int:
        """How many held-out rows are compared."""
        return max(1, min(self.settings.check_rows, MOST_VALUES // fitted.task.n_outputs))

    def _compare(self, task: Task, decide: Decide, situation: str, got: dict[str, np.ndarray], scores: np.ndarray) -> float:
        expected = decide(scores)
        margin = np.float32(self.settings.absolute_tolerance) + np.float32(self.settings.relative_tolerance) * np.abs(scores)
        certain = task.certain(scores, margin, decide)
        largest = 0.0
        for output in task.outputs:
            answer, truth = got[output.name], expected[output.name]
            if answer.shape != truth.shape:
                raise ExportError(
                    f"Export check '{situation}': output '{output.name}' is {answer.shape}, the fitted model's {truth.shape}."
                )
            if output.dtype == "float32":
                # Equal infinities differ by nothing.
                difference = np.abs(np.subtract(answer, truth, out=np.zeros(truth.shape), where=answer != truth))
                allowed = self.settings.absolute_tolerance + self.settings.relative_tolerance * np.abs(truth)
                wrong = ~(difference <= allowed)  # written so that NaN counts as wrong
                largest = max(largest, float((difference / np.maximum(1, np.abs(truth))).max(initial=0.0)))
            else:
                # A decision may tip where a score lies within the tolerance of its border, nowhere else.
                wrong = (answer != truth) & certain[output.name]
            if wrong.any():
                row = int(np.argwhere(wrong)[0][0])
                raise ExportError(
                    f"Export check '{situation}': output '{output.name}' differs from the model on {int(wrong.sum())} values. "
                    f"Row {row}: the file says {answer[row]!r}, the model {truth[row]!r}. The file was not kept."
                )
        return largest


def _padded(predictor: Predictor, raw: Raw) -> dict[str, np.ndarray]:
    """What the file says of rows with more padding than the longest needs."""
    lengths = predictor.feed(raw)[predictor.description.lengths]
    return predictor.run(predictor.feed(raw, least=int(lengths.max(initial=0)) + PADDING))


def _rows(raw: Raw, rows: slice) -> dict[str, np.ndarray]:
    return {column: values[rows] for column, values in raw.items()}


def _situations(fitted: Fitted, n_rows: int) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """The rows as they are, with unseen categories, with every value of one column missing, with everything missing; of
    sequences, also shorter, longer and empty ones; of images, also larger, cut and blank ones."""
    rows = _rows(fitted.held_out, slice(0, n_rows))
    yield "many rows", rows
    few = _rows(rows, slice(0, 256))
    columns = fitted.schema.of_role("feature")
    if any(column.kind == "string" for column in columns):
        unseen = {c.name: _filled(few[c.name], UNSEEN, c) if c.kind == "string" else few[c.name] for c in columns}
        yield "unseen categories", unseen
    missing = {"number": np.nan, "string": "", "time": MISSING_TIME, "image": None}
    scattered = {name: values.copy() for name, values in few.items()}
    for i, column in enumerate(columns):
        every = slice(i % len(columns), None, len(columns))
        scattered[column.name][every] = _filled(few[column.name][every], missing[column.kind], column)
    yield "missing values", scattered
    yield "all values missing", {c.name: _filled(few[c.name], missing[c.kind], c) for c in columns}
    if any(column.sequence for column in columns):
        for situation, change in (
            ("shorter sequences", lambda steps: steps[: len(steps) // 2]),
            ("longer sequences", lambda steps: np.concatenate([steps, steps[::-1], steps])),
            ("no steps", lambda steps: steps[:0]),
        ):
            yield situation, {c.name: _each(few[c.name], change) if c.sequence else few[c.name] for c in columns}
    if any(column.kind == "image" for column in columns):
        for situation, change in (
            ("larger images", lambda pixels: pixels.repeat(2, axis=0).repeat(3, axis=1)),
            ("cut images", lambda pixels: pixels[: -(-len(pixels) // 2), : -(-pixels.shape[1] * 2 // 3)]),
            ("blank images", lambda pixels: np.full_like(pixels, 255)),
        ):
            yield situation, {c.name: _each(few[c.name], change) if c.kind == "image" else few[c.name] for c in columns}


def _each(rows: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    changed = np.empty(len(rows), object)
    for i, steps in enumerate(rows):
        changed[i] = change(steps)
    return changed


def _filled(values: np.ndarray, value: object, column: Column) -> np.ndarray:
    """The same rows, and steps, with one value everywhere."""
    if column.kind == "image":
        return canonicalise([value] * len(values), column)
    return _each(values, lambda steps: np.full_like(steps, value)) if column.sequence else np.full_like(values, value)
