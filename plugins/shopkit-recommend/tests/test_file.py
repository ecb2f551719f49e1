"""The exported file: history of ids in, the best k out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pandas as pd
import pytest
import shopkit
from shop import QUICK, recommend, sequences
from shopkit.errors import ConfigError, DataError
from shopkit.runtime import Predictor
from shopkit.runtime.blocks import BUDGET, Footprint

ITEMS = {str(item) for item in range(101, 113)}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recommend(tmp_path_factory.mktemp("file"), sequences(), "model=item_knn").model_path


@pytest.fixture(scope="module")
def predictor(path: Path) -> Predictor:
    return Predictor(path)


def given(answer: dict[str, list]) -> list[str]:
    return [item for item in answer["items"] if item]


def test_what_was_seen_is_not_given(predictor: Predictor) -> None:
    answer = predictor({"history": ["103", "104", "105"]}, k=5)
    assert len(answer["items"]) == 5
    assert not {"103", "104", "105"} & set(answer["items"])
    assert answer["scores"] == sorted(answer["scores"], reverse=True)


def test_k_is_cut_to_the_catalogue_and_to_one(predictor: Predictor) -> None:
    assert set(predictor({"history": []}, k=1000)["items"]) == ITEMS
    assert len(predictor({"history": ["103"]}, k=0)["items"]) == 1
    everything = predictor({"history": sorted(ITEMS)}, k=3)
    assert everything["items"] == ["", "", ""]
    assert everything["scores"] == [-np.inf] * 3


def test_default_k_and_k_for_all_calls(predictor: Predictor, path: Path) -> None:
    assert len(predictor({"history": ["103"]})["items"]) == 12
    assert len(Predictor(path, k=4)({"history": ["103"]})["items"]) == 4


def test_only_candidates_are_given(predictor: Predictor) -> None:
    answer = predictor({"history": ["103"]}, k=4, candidates=["110", "103", "107", "no such item"])
    assert set(given(answer)) == {"110", "107"}
    assert answer["items"][2:] == ["", ""]
    assert answer["scores"][2:] == [-np.inf, -np.inf]


def test_a_filter_that_excludes_all(predictor: Predictor) -> None:
    assert given(predictor({"history": ["103"]}, candidates=["no such item"])) == []


@pytest.mark.parametrize("stock", [[], [None], [""], np.array([], object), ()])
def test_without_anything_in_stock_nothing_is_given(predictor: Predictor, stock: object) -> None:
    answer = predictor({"history": ["103"]}, k=3, candidates=stock)
    assert answer["items"] == ["", "", ""]
    assert answer["scores"] == [-np.inf] * 3


def test_everything_may_be_given_where_nobody_says_what(predictor: Predictor, path: Path) -> None:
    expected = predictor({"history": ["103"]}, k=3)
    for stock in (None, ["*"], ["110", "*"], sorted(ITEMS)):
        assert predictor({"history": ["103"]}, k=3, candidates=stock) == expected
    in_stock = Predictor(path, candidates=["110"])
    assert given(in_stock({"history": ["103"]}, k=3)) == ["110"]
    assert in_stock({"history": ["103"]}, k=3, candidates=None) == expected


@pytest.mark.parametrize("stock", [[110, 107], np.array([110, 107]), [110.0, "107"], ("110", "107")])
def test_candidates_are_read_as_the_items_of_a_history(predictor: Predictor, stock: object) -> None:
    assert set(given(predictor({"history": [103]}, candidates=stock))) == {"110", "107"}


@pytest.mark.parametrize("history", [[], ["no such item"], ["no such item", "nor this"], [""], [None]])
def test_without_known_items_the_popular_are_given(predictor: Predictor, history: list[str]) -> None:
    assert predictor({"history": history}, k=3) == predictor({"history": []}, k=3)


def test_unknown_items_among_known_ones_say_nothing_but_take_a_step(predictor: Predictor) -> None:
    assert predictor({"history": ["new", "104"]}, k=3)["items"] == predictor({"history": ["104"]}, k=3)["items"]


@pytest.mark.parametrize("model", ["popular", "mf", "blend"])
def test_what_was_seen_longer_ago_than_is_read_is_not_given_either(tmp_path: Path, model: str) -> None:
    quick = {"mf": ["trainer.max_epochs=1"], "blend": ["model.trainer.max_epochs=1", "model.exclude_seen=true"]}
    rows = [[*range(101, 113)][at:] + [*range(101, 113)][:at] for at in range(12)] * 5
    run = recommend(tmp_path, rows, f"model={model}", "features.max_length=2", *quick.get(model, []))
    assert "seen items left out" in run.metrics["protocol"]
    assert run.metrics["metrics"]["test"]["recall_10"]["value"] == 1.0  # of 12 items, one is left to give
    predict = Predictor(run.model_path)
    answers = predict([{"history": row} for row in ([101], [104, 107, 109, 101], [107, 101, "new", "new", "new"])])
    assert [set(given(answer)) for answer in answers] == [
        ITEMS - {"101"},
        ITEMS - {"101", "104", "107", "109"},
        ITEMS - {"101", "107"},
    ]


def test_repeated_items(predictor: Predictor) -> None:
    assert "104" not in predictor({"history": ["104", "104", "104"]})["items"]


def test_ids_that_are_numbers(predictor: Predictor) -> None:
    assert predictor({"history": [103, 104.0]}, k=3) == predictor({"history": ["103", "104"]}, k=3)


def test_ids_of_another_type_are_refused(predictor: Predictor) -> None:
    with pytest.raises(DataError, match=r"Column 'history', row 0, step 0: 3\.5 \(float\) is not a whole number or its text"):
        predictor({"history": [3.5]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 3}, r"model\.onnx has no option 'n'\. Options: k, candidates\."),
        ({"k": "3"}, r"Option 'k': '3' is not one int64\. It is: how many items to give"),
        ({"k": [3]}, r"Option 'k': \[3\] is not one int64"),
        ({"k": 2**63}, r"Option 'k': 9223372036854775808 is not one int64"),
        ({"candidates": "103"}, r"Option 'candidates': '103' is not a list of string"),
        ({"candidates": {"103"}}, r"Option 'candidates': \{'103'\} is not a list of string"),
        ({"candidates": ["103", 3.5]}, r"Option 'candidates', item 1: 3\.5 \(float\) is not a whole number or its text"),
    ],
)
def test_wrong_options(predictor: Predictor, options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        predictor({"history": ["103"]}, **options)


def test_many_rows_answer_as_each_alone(predictor: Predictor) -> None:
    histories = [["103"], [], ["104", "105", "106"], ["no"]]
    many = predictor([{"history": history} for history in histories], k=4)
    for history, answer in zip(histories, many, strict=True):
        alone = predictor({"history": history}, k=4)
        assert alone["items"] == answer["items"]
        np.testing.assert_allclose(alone["scores"], answer["scores"], rtol=1e-5)


def test_bare_onnxruntime_answers_the_same(predictor: Predictor, path: Path) -> None:
    session = ort.InferenceSession(str(path))
    feed = {
        "history": np.array([["103", "104"], ["107", ""]], object),
        "lengths": np.array([2, 1], np.int64),
        "k": np.array(5, np.int64),
        "candidates": np.array(["*"], object),
    }
    items, scores = session.run(["items", "scores"], feed)
    expected = predictor([{"history": ["103", "104"]}, {"history": ["107"]}], k=5)
    assert items.tolist() == [answer["items"] for answer in expected]
    np.testing.assert_allclose(scores, [answer["scores"] for answer in expected])


def test_blocks_of_rows_change_nothing(path: Path) -> None:
    whole, cut = Predictor(path, k=3), Predictor(path, k=3)
    cut._footprint = Footprint(row=BUDGET // 2)
    histories = [["103"], [], ["104", "105", "106"], ["no"], ["107"]]
    found = [one.columns({"history": histories}) for one in (whole, cut)]
    assert found[0]["items"].tolist() == found[1]["items"].tolist()


def test_a_frame_gets_lists(predictor: Predictor) -> None:
    answer = predictor(pd.DataFrame({"history": [["103"], ["104"]]}), k=2)
    assert [len(items) for items in answer["items"]] == [2, 2]


def test_text_ids_short_histories_and_repeats(tmp_path: Path) -> None:
    """Customers of one and two interactions train only; an item may follow itself."""
    rows = [[f"sku {item}" for item in steps] for steps in sequences(60)] + [["sku 101"], ["sku 102", "sku 102"], []]
    run = recommend(tmp_path, rows, "model=markov", "model.exclude_seen=false")
    counts = run.facts("split")["counts"]
    assert (counts["test"], counts["validation"], counts["train"]) == (60, 60, 62)
    assert run.facts("examples")["left_out"] == {"sequence without items": 1}
    answer = Predictor(run.model_path)({"history": ["sku 105"]}, k=1)
    assert answer["items"] == ["sku 106"]
    with pytest.raises(DataError, match=r"Option 'candidates', item 0: 106 \(int\) is not text; give it as a string"):
        Predictor(run.model_path)({"history": ["sku 105"]}, candidates=[106])


def test_items_of_another_order_are_refused(tmp_path: Path) -> None:
    """A vocabulary of the same items has as many ids, and others."""
    with pytest.raises(ConfigError, match=r"history by vocabulary\)\. Set features\.columns\.history=catalogue"):
        recommend(tmp_path, sequences(60), "model=markov", "features.columns.history=vocabulary")


def test_a_catalogue_of_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"The catalogue has one item, '7', in all 5 training rows"):
        recommend(tmp_path, [[7, 7, 7, 7]] * 5, "model=popular")


@pytest.mark.parametrize("model", ["item_knn", "sasrec"])
def test_a_profile_is_asked_for_where_the_model_reads_it(tmp_path: Path, model: str) -> None:
    rows = sequences(60)
    table = pd.DataFrame({"items": rows, "age": np.random.default_rng(0).integers(20, 60, len(rows)).astype(float)})
    changes = ["view.profile=[age]", f"model={model}", "evaluation.baselines=[]", *QUICK]
    changes += ["trainer.max_epochs=1", "model.dim=8"] if model == "sasrec" else []
    run = shopkit.run("next_item_sequences", changes, data={"data": table}, folder=tmp_path / "run")
    recommend = Predictor(run.model_path)
    told = run.facts("export")["told"]  # type: ignore[index]
    assert len(recommend({"history": ["103"], "age": 30.0}, k=2)["items"]) == 2
    if model == "sasrec":
        assert (recommend.inputs.names, told) == (("history", "age"), {})
        return
    assert recommend.inputs.names == ("history",)
    assert len(recommend({"history": ["103"]}, k=2)["items"]) == 2
    assert told == {"Columns that the model does not read": "age"}
    assert "Columns that the model does not read: age" in run.card_path.read_text()
