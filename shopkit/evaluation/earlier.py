"""Whether an earlier file can be measured on the rows of a new one."""

from __future__ import annotations

from shopkit.runtime import Predictor
from shopkit.schema import Schema

EARLIER = "earlier_run"
"""Name, among the baselines, of the file that a warm start began from."""


def unlike(earlier: Predictor, now: Predictor, schema: Schema) -> str:
    """Why an earlier file cannot answer for these examples as the new one does; empty if it can."""
    columns = {(column.name, column.kind, column.sequence) for column in schema}
    if missing := [c.name for c in earlier.inputs if (c.name, c.kind, c.sequence) not in columns]:
        return f"reads {', '.join(missing)}, which these examples do not have"
    if _shapes(earlier) != _shapes(now):
        return "gives other outputs"
    return ""


def _shapes(file: Predictor) -> list[tuple[object, ...]]:
    return [(output["name"], output["dtype"], output.get("classes")) for output in file.description.outputs]
