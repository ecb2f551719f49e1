"""Two halves of a recommender, and the two models that are more than one."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pandas as pd
import pytest
import shopkit
from shop import recommend, sequences
from shopkit import Predictor
from shopkit.errors import ConfigError, ExportError, RunError
from shopkit.exporters.base import Exported, Fitted

from shopkit_recommend.exporters import item_index
from shopkit_recommend.exporters.item_index import ItemIndexExporter
from shopkit_recommend.exporters.settings import ItemIndexSettings

QUICK = ["trainer.max_epochs=2", "trainer.lr=1e-2", "trainer.threads=1"]


@pytest.mark.parametrize("model", ["two_tower", "sasrec"])
def test_vectors_of_customers_and_items_give_the_scores(tmp_path: Path, model: str) -> None:
    faiss = pytest.importorskip("faiss")
    changes = [f"model={model}", "model.exclude_seen=false", "exporter=item_index", "exporter.k=5", *QUICK]
    run = recommend(tmp_path, sequences(), *changes)
    history = {"history": ["101", "102"]}
    customer = Predictor(run.path / "customers.onnx")(history)["vector"]
    with np.load(run.path / "items.npz") as stored:
        scores, items = stored["vectors"] @ np.asarray(customer), stored["items"]
    answer = Predictor(run.model_path)(history)
    best = np.argsort(-scores)[: len(answer["items"])]
    assert items[best].tolist() == list(answer["items"])
    np.testing.assert_allclose(scores[best], answer["scores"], rtol=1e-4, atol=1e-5)
    facts = json.loads((run.path / "index.json").read_text())
    assert facts["recall_5"] > 0.99
    assert facts["items"] == len(items)
    beside = {"customers.onnx", "items.npz", "items.faiss", "index.json"}
    assert {"model.onnx", *beside} <= set(run.manifest["files"])
    card, page = run.card_path.read_text(), run.report_path.read_text()
    for text in (card, page):
        assert "Approximate index of the items" in text
        assert f"finds {facts['recall_5']:.3f} of the exact first 5 for {facts['queries']} customers" in text
    assert "Another runtime may lack what is in the file" in card
    run.verify()
    (run.path / "items.npz").write_bytes(b"others")
    with pytest.raises(RunError, match=r"items\.npz was changed after the run was sealed"):
        run.verify()
    index = faiss.read_index(str(run.path / "items.faiss"))
    assert index.search(np.asarray([customer], np.float32), 1)[1][0, 0] == best[0]


def test_the_index_stands_beside_another_export_of_the_same_file(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    changes = ["model=two_tower", "model.exclude_seen=false", "exports=[onnx,{name: item_index, k: 5}]", *QUICK]
    run = recommend(tmp_path, sequences(), *changes)
    made = (run.facts("exports") or {})["exports"]
    assert {name: one["path"] for name, one in made.items()} == {
        "onnx": "exports/onnx/model.onnx",
        "item_index": "exports/item_index/model.onnx",
    }
    assert {path.name for path in (run.exports_path / "onnx").iterdir()} == {"model.onnx"}
    assert {"customers.onnx", "items.npz", "index.json"} < {path.name for path in (run.exports_path / "item_index").iterdir()}
    run.verify()


def test_new_items_get_a_vector_of_their_attributes(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    rows = sequences()
    kinds = [[("odd", "even")[item % 2 == 0] for item in steps] for steps in rows]
    table = pd.DataFrame({"items": rows, "kind": kinds})
    changes = ["model=two_tower", "view.beside=[kind]", "exporter=item_index", "evaluation.baselines=[]", *QUICK]
    run = shopkit.run("next_item_sequences", changes, data={"data": table}, folder=tmp_path / "run")
    encode = Predictor(run.path / "item_encoder.onnx")
    with np.load(run.path / "items.npz") as stored:
        vectors = dict(zip(stored["items"].tolist(), stored["vectors"], strict=True))
    known = encode({"history": ["104"], "kind": ["even"]})["vector"]
    np.testing.assert_allclose(known, vectors["104"], atol=1e-5)
    new = [np.asarray(encode({"history": ["a new item"], "kind": [kind]})["vector"]) for kind in ("odd", "even")]
    assert np.linalg.norm(new[0] - new[1]) > 0.01
    checks = run.facts("export")["checks"]  # type: ignore[index]
    assert checks["item encoder"] < 1e-5


def test_a_model_without_vectors_has_no_halves(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="exporter=item_index takes models whose scores are a customer's vector"):
        recommend(tmp_path, sequences(), "model=markov", "exporter=item_index")


def test_settings_of_the_index() -> None:
    with pytest.raises(ConfigError, match=r"exporter.k is 0; it must be at least 1"):
        ItemIndexSettings(k=0)
    with pytest.raises(ConfigError, match=r"exporter.least_recall is 2; it must be from 0 to 1"):
        ItemIndexSettings(least_recall=2)


class Caught(Exception):  # noqa: N818 (no error, but the end of the way)
    """What an exporter was given."""


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    rows = sequences(40)
    table = pd.DataFrame({"items": rows, "kind": [[("odd", "even")[item % 2 == 0] for item in steps] for steps in rows]})
    changes = ["model=two_tower", "view.beside=[kind]", "exporter=item_index", *QUICK, "trainer.max_epochs=1"]

    def catch(self: ItemIndexExporter, fitted: Fitted, folder: Path) -> Exported:
        raise Caught(fitted)

    folder = tmp_path_factory.mktemp("caught") / "run"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ItemIndexExporter, "export", catch)
        with pytest.raises(Caught) as caught:
            shopkit.run("next_item_sequences", changes, data={"data": table}, folder=folder)
    found: Fitted = caught.value.args[0]
    return found


def refused(fitted: Fitted, folder: Path, message: str, **settings: float) -> None:
    """By name, with no file left behind."""
    exporter = ItemIndexExporter(ItemIndexSettings(**{"check_rows": 8, **settings}))  # type: ignore[arg-type]
    with pytest.raises(ExportError, match=message):
        exporter.export(fitted, folder)
    assert list(folder.iterdir()) == []


def test_vectors_that_do_not_give_the_scores(fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves = item_index.halves

    def of_other_vectors(model: onnx.ModelProto, n_items: int) -> tuple[onnx.ModelProto, np.ndarray]:
        encoder, vectors = halves(model, n_items)
        return encoder, vectors * 2

    monkeypatch.setattr(item_index, "halves", of_other_vectors)
    refused(fitted, tmp_path, r"Export check 'vectors': in row \d+ vectors and model differ by")


def test_an_encoder_of_items_that_differs(fitted: Fitted, tmp_path: Path) -> None:
    items = fitted.encoders["items"]
    other = replace(items, reference=lambda raw: items.reference(raw) + 1)
    message = r"Export check 'item encoder': file and model differ by 1"
    refused(replace(fitted, encoders={"items": other}), tmp_path, message)


def test_an_index_that_finds_too_little(fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class First:
        """Finds the first item only."""

        hnsw = SimpleNamespace()

        def __init__(self, *settings: object) -> None: ...
        def add(self, vectors: np.ndarray) -> None: ...
        def search(self, customers: np.ndarray, k: int) -> tuple[None, np.ndarray]:
            return None, np.zeros((len(customers), k), np.int64)

    fake = SimpleNamespace(IndexHNSWFlat=First, METRIC_INNER_PRODUCT=0, write_index=lambda index, path: None)
    monkeypatch.setattr(item_index, "_faiss", lambda: fake)
    message = (
        r"The index finds 0\.\d+ of the exact lists, below exporter\.least_recall=0\.9\. Raise exporter\.expansion \(it is 200"
    )
    refused(fitted, tmp_path, message, least_recall=0.9)


def test_without_the_index_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(
        ConfigError, match=r"exporter=item_index needs the package faiss-cpu: pip install 'shopkit-recommend\[ann\]'"
    ):
        ItemIndexExporter(ItemIndexSettings()).export(None, tmp_path)  # type: ignore[arg-type]


def test_least_squares_find_what_goes_together(tmp_path: Path) -> None:
    """Beside lists by popularity, and lists in any order, which find two of twelve."""
    changes = ["model=als", "model.factors=8", "model.iterations=5", "task.cutoffs=[2]", "evaluation.baselines=[popular]"]
    run = recommend(tmp_path, sequences(), *changes)
    popular = run.metrics["baselines"]["popular"]
    assert popular["metrics"]["recall_2"]["value"] < 0.35
    assert popular["difference"]["recall_2"]["verdict"] == "better"
    assert run.metrics["metrics"]["test"]["recall_2"]["value"] > 0.45
    assert len(Predictor(run.model_path)({"history": []})["items"]) == 12


def test_a_run_says_what_trained_nothing(tmp_path: Path) -> None:
    said: dict[str, str] = {}
    changes = ["model=markov", "evaluation.baselines=[]", "trainer.max_epochs=9", "trainer.lr=0.1"]
    table = pd.DataFrame({"items": sequences(40)})
    shopkit.run(
        "next_item_sequences",
        changes,
        data={"data": table},
        folder=tmp_path / "run",
        announce=lambda stage, line, seconds: said.update({stage: line}),
    )
    assert said["train"].endswith(", fitted; this model is fitted in its own way, without trainer.max_epochs=9, trainer.lr=0.1")


def test_a_blend_weighs_its_members_by_validation(tmp_path: Path) -> None:
    trainer = [f"model.{change}" for change in QUICK]
    changes = ["model.pair_weights=[0.1]", "model.aging=1"]
    run = recommend(tmp_path, sequences(), "model=blend", "model.network=gru4rec", "task.monitor=mrr", *trainer, *changes)
    facts = run.facts("train")
    assert facts is not None
    tried = {name: value for name, value in facts.items() if name.startswith("validation_mrr_10_of_")}
    assert len(tried) == 16
    chosen = f"validation_mrr_10_of_{facts['neighbour_weight']:g}_{facts['follower_weight']:g}_0.1"
    assert tried[chosen] == max(tried.values())
    assert run.metrics["metrics"]["test"]["mrr_10"]["value"] > 0.4
