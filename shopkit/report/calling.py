"""Example calls of the exported file, made from what the file says of itself. What they print is ready to be copied."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from shopkit.report.columns import Summary
from shopkit.runtime.artifact import Description
from shopkit.schema import Column

DTYPES = {"number": "float32", "string": "string", "time": "int64", "image": "uint8"}
"""Kind of a raw column → element type of the graph's input."""


def dtype(column: Column) -> str:
    """Element type of a column's input; a sequence's is (N, L), an image's (N, H, W, C), any other's (N,).

    >>> dtype(Column("price", "number"))
    'float32'
    """
    return "float64" if column.kind == "number" and column.double else DTYPES[column.kind]


class Code(str):
    """Python that makes an example value, rather than the value."""

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Snippet:
    """One way to call the file."""

    title: str
    needs: str
    language: str
    code: str


def snippets(description: Description, summaries: Mapping[str, Summary]) -> list[Snippet]:
    """Command line, Python with shopkit, bare ONNX Runtime in Python, and Node."""
    columns = [(column, description.inputs[column.name]) for column in description.schema.of_role("feature")]
    values = {column.name: _example(column, summaries.get(column.name)) for column, _ in columns}
    lengths = description.lengths
    line = "shopkit predict model.onnx customers.csv -o out.csv"
    of_tables = Snippet("Command line", "a table in, the same rows with predictions out", "sh", line)
    return [
        *([of_tables] if all(column.kind != "image" for column, _ in columns) else []),
        Snippet("Python", 'pip install "shopkit[cpu]"', "python", _python(columns, values)),
        Snippet("Python without shopkit", "pip install numpy onnxruntime", "python", _bare(columns, values, lengths)),
        Snippet("Node", "npm install onnxruntime-node", "js", _node(columns, values, description)),
    ]


def _example(column: Column, summary: Summary | None) -> Any:
    if column.sequence:
        return [_example(replace(column, sequence=False), summary)]
    value = summary.typical if summary else None
    if column.kind == "image":
        return Code(f"np.zeros({(*(value or (1, 1)), column.channels)}, np.uint8)")
    if column.kind == "string":
        return str(value or ("…" if summary else ""))  # a text that hardly comes again is shown to nobody
    if column.kind == "time":
        return int(value) if value is not None else 0
    return float(f"{value:.6g}") if value is not None else 0.0


def _python(columns: list[tuple[Column, str]], values: Mapping[str, Any]) -> str:
    rows = "\n".join(f"    {column.name!r}: {values[column.name]!r}," for column, _ in columns)
    numpy = "import numpy as np\n" if any(column.kind == "image" for column, _ in columns) else ""
    return (
        f"{numpy}from shopkit import Predictor\n\n"
        'model = Predictor("model.onnx")\n'
        f"row = {{\n{rows}\n}}\n"
        "print(model(row))      # a dict gives a dict\n"
        "# model(frame)         # a pandas DataFrame gives a DataFrame, a list of dicts a list"
    )


def _bare(columns: list[tuple[Column, str]], values: Mapping[str, Any], lengths: str) -> str:
    numpy_types = {"float32": "np.float32", "float64": "np.float64", "int64": "np.int64", "string": "object", "uint8": "np.uint8"}
    rows = "\n".join(
        f"    {name!r}: np.array([{values[column.name]!r}], {numpy_types[dtype(column)]})," for column, name in columns
    )
    if lengths:
        rows += f"\n    {lengths!r}: np.array([1], np.int64),  # steps of each row; shorter rows are padded on the right"
    return (
        "import numpy as np\n"
        "import onnxruntime as ort\n\n"
        'session = ort.InferenceSession("model.onnx")\n'
        f"feed = {{\n{rows}\n}}\n"
        "names = [output.name for output in session.get_outputs()]\n"
        "print(dict(zip(names, session.run(names, feed))))"
    )


def _node(columns: list[tuple[Column, str]], values: Mapping[str, Any], description: Description) -> str:
    def tensor(column: Column) -> str:
        (value,) = values[column.name] if column.sequence else [values[column.name]]
        if column.kind == "image":
            height, width, channels = re.findall(r"\d+", value)[:3]
            n = int(height) * int(width) * int(channels)
            return f'new ort.Tensor("uint8", new Uint8Array({n}), [1, {height}, {width}, {channels}])'
        literal = f"{value}n" if column.kind == "time" else json.dumps(value, ensure_ascii=False)
        data = f"BigInt64Array.of({literal})" if column.kind == "time" else f"[{literal}]"
        return f'new ort.Tensor("{dtype(column)}", {data}, {"[1, 1]" if column.sequence else "[1]"})'

    rows = "\n".join(f"  {json.dumps(name, ensure_ascii=False)}: {tensor(column)}," for column, name in columns)
    if description.lengths:
        rows += f'\n  {json.dumps(description.lengths)}: new ort.Tensor("int64", BigInt64Array.of(1n), [1]),'
    prints = ", ".join(f"answer[{json.dumps(output['name'])}].data" for output in description.outputs)
    return (
        'import * as ort from "onnxruntime-node"; // a file ending in .mjs\n\n'
        'const session = await ort.InferenceSession.create("model.onnx");\n'
        f"const feed = {{\n{rows}\n}};\n"
        "const answer = await session.run(feed);\n"
        f"console.log({prints});"
    )
