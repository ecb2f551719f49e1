"""Asks an exported file with numpy and onnxruntime alone: python -I bare.py model.onnx cases.json

Knows nothing but what the file says of itself. `cases.json` holds batches: rows as a person would send them, and options. Prints
a JSON list with the outputs of each batch.
"""

import datetime
import json
import pathlib
import sys

import numpy as np
import onnxruntime as ort

TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(uint8)": np.uint8}
MISSING = {"number": np.nan, "string": "", "time": -(2**63)}


def scalar(column, value):
    if value is None:
        return MISSING[column["kind"]]
    if column["kind"] == "string":
        return str(value)
    if column["kind"] == "time":
        return int(datetime.datetime.fromisoformat(value).replace(tzinfo=datetime.UTC).timestamp())
    return value


def feed(about, types, rows, options):
    fed = {}
    length = 1
    for column in about["schema"]:
        if column.get("role", "feature") != "feature":
            continue
        name, values = about["inputs"][column["name"]], [row[column["name"]] for row in rows]
        if column.get("sequence"):
            length = max(1, *(len(steps) for steps in values))
            if about["lengths"]:
                fed[about["lengths"]] = np.array([len(steps) for steps in values])
            values = [[scalar(column, step) for step in steps + [None] * (length - len(steps))] for steps in values]
        elif column["kind"] != "image":
            values = [scalar(column, value) for value in values]
        fed[name] = np.array(values, TYPES.get(types[name], object))
    for option in about.get("options", []):
        fed[option["input"]] = np.array(options.get(option["name"], option["default"]), TYPES.get(types[option["input"]], object))
    return fed


session = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
about = json.loads(session.get_modelmeta().custom_metadata_map["shopkit"])
types = {value.name: value.type for value in session.get_inputs()}
names = [output["name"] for output in about["outputs"]]
batches = json.loads(pathlib.Path(sys.argv[2]).read_text(encoding="utf-8"))
answers = [session.run(names, feed(about, types, batch["rows"], batch["options"])) for batch in batches]
others = [name for name in ("shopkit", "torch", "pandas", "onnx") if name in sys.modules]
assert not others, f"also loaded: {others}"
print(json.dumps([{name: value.tolist() for name, value in zip(names, answer, strict=True)} for answer in answers]))
