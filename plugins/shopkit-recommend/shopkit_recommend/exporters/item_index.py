"""A recommender in two halves, for catalogues too large to score in full: a customer's vector, and an index of the items'.

Malkov, Yashunin: Efficient and robust approximate nearest neighbor search using hierarchical navigable small world graphs (2018).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import ndonnx as ndx
import numpy as np
import onnx
from onnx import numpy_helper
from onnx.utils import Extractor
from shopkit.errors import ConfigError, ExportError
from shopkit.exporters.base import Exported, Fitted
from shopkit.exporters.graph import compose
from shopkit.exporters.onnx import OnnxExporter
from shopkit.runs import replacing, write_json
from shopkit.runtime import Predictor
from shopkit.runtime.artifact import open_session
from shopkit.tasks.base import Input, Output, Task

from shopkit_recommend.exporters.settings import ItemIndexSettings

CUSTOMERS, ITEMS, INDEX, FACTS, ITEM_ENCODER = "customers.onnx", "items.npz", "items.faiss", "index.json", "item_encoder.onnx"
OUT_OF_REACH = -1e29
"""Scores below this are of items that are masked, which the vectors know nothing of."""


class ItemIndexExporter(OnnxExporter):
    """Writes `model.onnx` as ever, and beside it

    - `customers.onnx`: raw columns → `vector` float32 (N, dim);
    - `items.npz`: `vectors` float32 (n_items, dim) and `items`, their ids, whose product with a customer's vector is the score;
    - `items.faiss`: an HNSW index of the vectors by inner product, keyed by their places;
    - `index.json`: how much of the exact lists the index finds, and how long either takes;
    - `item_encoder.onnx`, of a model whose items have attributes: a history of one step, the item with what stands beside it →
      `vector`. So new items get one, to be added to the matrix and the index.

    What was seen is not left out: ask for as many more, and leave it out of the answer.
    """

    settings: ItemIndexSettings

    def export(self, fitted: Fitted, folder: Path) -> Exported:
        """
        Raises:
            ConfigError: faiss is not installed.
            ExportError: as of the exporter `onnx`; or scores are no products of two vectors, the vectors do not give the file's
                scores, or the index finds less than `least_recall`. Nothing is left behind.
        """
        _faiss()
        encoder, vectors = halves(fitted.model, fitted.task.n_outputs)
        exported = super().export(fitted, folder)
        paths = [folder / name for name in (CUSTOMERS, ITEMS, INDEX, FACTS, ITEM_ENCODER)]
        try:
            _write(fitted, encoder, vectors.shape[1], paths[0])
            names = np.array(fitted.task.state["classes"])
            with replacing(paths[1]) as temporary, temporary.open("wb") as stream:
                np.savez(stream, vectors=vectors, items=names)
            facts, difference = self._index(fitted, folder, vectors)
            checks = {**exported.checks, "vectors": difference}
            if "items" in fitted.encoders:
                _write(fitted, fitted.encoders["items"].model, vectors.shape[1], paths[4])
                checks["item encoder"] = self._of_items(fitted, paths[4])
        except BaseException:
            for path in (exported.path, *paths):
                path.unlink(missing_ok=True)
            raise
        write_json(paths[3], facts)
        k = min(self.settings.k, len(vectors))
        told = {
            "Approximate index of the items": f"finds {facts[f'recall_{k}']:.3f} of the exact first {k} for {facts['queries']:,} "
            f"customers, in {facts['microseconds_index']:,.0f} µs each, an exact one in {facts['microseconds_exact']:,.0f} µs",
        }
        return replace(exported, checks=checks, beside=tuple(path for path in paths if path.is_file()), told=told)

    def _of_items(self, fitted: Fitted, path: Path) -> float:
        """How far the file is from the item's part of the model, on the first steps of held-out rows."""
        sequences = {column.name for column in fitted.schema.of_role("feature") if column.sequence}
        rows = {name: values[: self.rows_to_check(fitted)] for name, values in fitted.held_out.items()}
        first = {name: _first_steps(values) if name in sequences else values for name, values in rows.items()}
        given, expected = Predictor(path).answer(first)["vector"], fitted.encoders["items"].reference(first)
        difference = float(np.abs(given - expected).max(initial=0))
        if difference > self.settings.absolute_tolerance:
            raise ExportError(f"Export check 'item encoder': file and model differ by {difference:g}.")
        return difference

    def _index(self, fitted: Fitted, folder: Path, vectors: np.ndarray) -> tuple[dict[str, Any], float]:
        raw = {name: values[: self.rows_to_check(fitted)] for name, values in fitted.held_out.items()}
        customers = Predictor(folder / CUSTOMERS).answer(raw)["vector"]
        scores, k = fitted.reference(raw), min(self.settings.k, len(vectors))
        exact = customers @ vectors.T
        difference = np.where(scores > OUT_OF_REACH, np.abs(exact - scores), 0)
        allowed = self.settings.absolute_tolerance + self.settings.relative_tolerance * np.abs(scores)
        if (difference > allowed).any():
            row = int((difference > allowed).any(1).argmax())
            raise ExportError(f"Export check 'vectors': in row {row} vectors and model differ by {difference[row].max():g}.")
        settings = self.settings
        faiss = _faiss()
        index = faiss.IndexHNSWFlat(vectors.shape[1], settings.connectivity, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction, index.hnsw.efSearch = settings.expansion, max(settings.expansion, k)
        index.add(vectors)
        faiss.write_index(index, str(folder / INDEX))
        found = index.search(customers, k)[1]
        best = np.argpartition(-exact, k - 1, axis=1)[:, :k]
        shares = [len(np.intersect1d(mine, truth)) / k for mine, truth in zip(found, best, strict=True)]
        recall = float(np.mean(shares)) if shares else 1.0
        if recall < settings.least_recall:
            raise ExportError(
                f"The index finds {recall:.3f} of the exact lists, below exporter.least_recall={settings.least_recall:g}. "
                f"Raise exporter.expansion (it is {settings.expansion}) or exporter.connectivity ({settings.connectivity})."
            )
        some = customers[:200]
        facts = {
            f"recall_{k}": recall,
            "queries": len(customers),
            "items": len(vectors),
            "dim": vectors.shape[1],
            "microseconds_exact": _median(lambda customer: np.argpartition(-(vectors @ customer), k - 1)[:k], some),
            "microseconds_index": _median(lambda customer: index.search(customer[None], k), some),
            "connectivity": settings.connectivity,
            "expansion": settings.expansion,
        }
        return facts, float(difference.max(initial=0))


def halves(model: onnx.ModelProto, n_items: int) -> tuple[onnx.ModelProto, np.ndarray]:
    """A graph whose scores are a product with the items' vectors, as the graph up to that product, and the vectors (n_items,
    dim).

    Raises:
        ExportError: there is no such product.
    """
    node = _product(model)
    vectors = None if node is None else _constant(model, node.input[1])
    if node is None or vectors is None or vectors.shape[-1] != n_items:
        raise ExportError(
            "exporter=item_index takes models whose scores are a customer's vector times each item's (two_tower, sasrec, "
            "gru4rec, mf), and this one's are not. Use exporter=onnx."
        )
    vectors = vectors.T.copy()
    inferred = onnx.shape_inference.infer_shapes(model)
    if not any(value.name == node.input[0] for value in inferred.graph.value_info):
        shape = ["N", vectors.shape[1]]
        inferred.graph.value_info.append(onnx.helper.make_tensor_value_info(node.input[0], onnx.TensorProto.FLOAT, shape))
    read = [value.name for value in model.graph.input]
    encoder = Extractor(inferred).extract_model(read, [node.input[0]])
    del encoder.graph.value_info[:]
    used = {name for inner in encoder.graph.node for name in inner.input}
    kept = [value for value in encoder.graph.input if value.name in used]
    del encoder.graph.input[:]
    encoder.graph.input.extend(kept)
    encoder.graph.node.append(onnx.helper.make_node("Identity", [node.input[0]], ["scores"]))
    encoder.graph.output[0].name = "scores"
    return encoder, vectors


def _write(fitted: Fitted, model: onnx.ModelProto, dim: int, path: Path) -> None:
    """A file from raw columns to a vector."""
    whole = compose(replace(fitted, model=model, task=cast(Task, _Vector(dim))))
    with replacing(path) as temporary:
        temporary.write_bytes(whole.SerializeToString(deterministic=True))


def _first_steps(histories: np.ndarray) -> np.ndarray:
    first = np.empty(len(histories), object)
    first[:] = [steps[:1] for steps in histories]
    return first


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ConfigError("exporter=item_index needs the package faiss-cpu: pip install 'shopkit-recommend[ann]'") from error
    return faiss


def _product(model: onnx.ModelProto) -> onnx.NodeProto | None:
    """The product with a constant that the scores are, but for the masking of what was seen."""
    varies = {value.name for value in model.graph.input}
    by_output: dict[str, onnx.NodeProto] = {}
    for node in model.graph.node:
        varies |= set(node.output) if varies & set(node.input) else set()
        by_output |= dict.fromkeys(node.output, node)
    last = by_output[model.graph.output[0].name]
    while last.op_type in ("ScatterElements", "Identity") and last.input[0] in by_output:
        last = by_output[last.input[0]]
    return last if last.op_type == "MatMul" and last.input[1] not in varies else None


def _constant(model: onnx.ModelProto, name: str) -> np.ndarray:
    """The value of a graph that does not depend on its inputs."""
    for tensor in model.graph.initializer:
        if tensor.name == name:
            return numpy_helper.to_array(tensor)
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    typed.graph.value_info.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    alone = Extractor(typed).extract_model([], [name])
    return np.asarray(open_session(alone.SerializeToString()).run([name], {})[0])


class _Vector:
    """What `compose` asks of a task, for a file that ends at the customer's vector."""

    inputs: tuple[Input, ...] = ()
    outputs = (Output("vector", "float32", "customers and items, whose products are the scores", per="dimension"),)
    state: Mapping[str, Any] = {}

    def __init__(self, dim: int) -> None:
        self.n_outputs = dim

    def decide(self, scores: ndx.Array) -> dict[str, ndx.Array]:
        return {"vector": scores}


def _median(search: Any, customers: np.ndarray) -> float:
    times = []
    for customer in customers:
        start = time.perf_counter()
        search(customer)
        times.append(time.perf_counter() - start)
    return float(np.median(times) * 1e6) if times else 0.0
