"""What it costs to look at a file before it is loaded, beside the loading itself.

    python benchmarks/load_checks.py [--repeats N] [--json FILE]

Three files: one of the tests' golden files, a table of embeddings of 128 MB, and a vocabulary of 100,000 texts. The time of the
check (structure), of the manifest's sha256, and of a bare `onnxruntime.InferenceSession` on the same path, which is the baseline.
Contestants take turns, each figure is a median.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from timing import of_this_machine

from shopkit.runs import file_hash
from shopkit.runtime.artifact import open_session
from shopkit.runtime.manifest import check_manifest
from shopkit.runtime.safety import check_model

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "v1" / "plain.onnx"


def embeddings(path: Path) -> None:
    table = numpy_helper.from_array(np.zeros((1 << 20, 32), np.float32), "table")
    node = helper.make_node("Gather", ["table", "ids"], ["rows"])
    _write(path, [node], [table], ("ids", TensorProto.INT64), ("rows", TensorProto.FLOAT))


def vocabulary(path: Path) -> None:
    words = [f"word number {number}" for number in range(100_000)]
    settings = {"keys_strings": words, "values_int64s": list(range(len(words))), "default_int64": 1, "domain": "ai.onnx.ml"}
    node = helper.make_node("LabelEncoder", ["words"], ["ids"], **settings)
    _write(path, [node], [], ("words", TensorProto.STRING), ("ids", TensorProto.INT64))


def _write(
    path: Path, nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto], given: tuple[str, int], answer: tuple[str, int]
) -> None:
    inputs, outputs = ([helper.make_tensor_value_info(*value, shape)] for value, shape in ((given, ["N"]), (answer, None)))
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 4)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


def bare(path: Path) -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def manifest(path: Path, content: bytes) -> None:
    with check_manifest(path, content):
        pass


def measure(path: Path, repeats: int) -> dict[str, float]:
    """Median milliseconds of each part."""
    content = path.read_bytes()
    path.with_name("manifest.json").write_text(json.dumps({"files": {path.name: file_hash(path)}}))
    parts: dict[str, Callable[[], object]] = {
        "onnxruntime alone": lambda: bare(path),
        "shopkit, whole": lambda: open_session(path),
        "of it: structure": lambda: check_model(content, path.name),
        "of it: manifest": lambda: manifest(path, content),
    }
    taken: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(repeats):
        for name, part in parts.items():
            start = time.perf_counter()
            part()
            taken[name].append(1000 * (time.perf_counter() - start))
    return {name: round(statistics.median(values), 3) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parsed = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        files: dict[str, Callable[[Path], object]] = {
            "golden file": lambda path: path.write_bytes(GOLDEN.read_bytes()),
            "embeddings, 128 MB": embeddings,
            "vocabulary of 100,000": vocabulary,
        }
        for number, (name, make) in enumerate(files.items()):
            path = Path(scratch, str(number), "model.onnx")
            path.parent.mkdir()
            make(path)
            results[name] = {"bytes": path.stat().st_size, "ms": measure(path, parsed.repeats)}
            print(f"{name}: {results[name]['bytes']:,} bytes")
            for part, value in results[name]["ms"].items():
                print(f"  {part:20} {value:10.3f} ms")
    if parsed.json:
        facts = {"machine": of_this_machine("onnxruntime"), "repeats": parsed.repeats, "files": results}
        parsed.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
