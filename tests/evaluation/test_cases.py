"""A few rows with what moved their answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shopkit.evaluation.cases import OTHERS, blank, choose, choose_numbers, direction, explained_cases
from shopkit.evaluation.part import Part
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.base import Batch, Estimator, Model
from shopkit.models.linear import Linear
from shopkit.models.lstm import LSTM
from shopkit.models.settings import LinearSettings, LSTMSettings
from shopkit.schema import Column, Schema
from shopkit.tasks.base import Task
from shopkit.tasks.binary import Binary
from shopkit.tasks.multiclass import Multiclass
from shopkit.tasks.regression import Regression
from shopkit.tasks.settings import BinarySettings, MulticlassSettings, RegressionSettings

CLASSES = ["a", "b", "c"]


def part(labels: str, target: str, probability: list[float]) -> Part:
    of_label = np.full((len(labels), 3), 0.01)
    codes = [CLASSES.index(name) for name in labels]
    of_label[np.arange(len(labels)), codes] = probability
    outputs = {"label": np.array(list(labels), object), "probability": of_label}
    return Part(raw={}, target=np.array([CLASSES.index(name) for name in target]), outputs=outputs)


def test_half_are_right_and_half_wrong_the_surest_of_each_label_in_turn():
    rows, labels, confidence = choose(part("aaaabbca", "aaaabbab", [0.9, 0.8, 0.7, 0.6, 0.75, 0.5, 0.95, 0.4]), CLASSES, 5)
    assert rows.tolist() == [0, 4, 1, 6, 7]
    assert labels.tolist() == [0, 1, 0, 2, 0]
    assert confidence.tolist() == [0.9, 0.75, 0.8, 0.95, 0.4]


def test_where_hardly_any_is_wrong_more_right_ones_are_shown():
    assert choose(part("abca", "abca", [0.9, 0.8, 0.7, 0.6]), CLASSES, 4)[0].tolist() == [0, 1, 2, 3]


def test_the_confidence_of_a_binary_answer_is_that_of_its_label():
    outputs = {"label": np.array(["a", "b"], object), "probability": np.array([0.1, 0.6], np.float32)}
    assert choose(Part({}, np.array([0.0, 1.0]), outputs), ["a", "b"], 2)[2] == pytest.approx([0.9, 0.6])


def test_directions():
    assert direction(np.array([0, 1]), 1).tolist() == [[-1], [1]]
    assert direction(np.array([1]), 4).tolist() == [[-0.25, 0.75, -0.25, -0.25]]


def test_a_blank_row_keeps_its_special_tokens_its_terms_and_its_lengths():
    spec = FeatureSpec((FeatureBlock("x", "wordpiece", "tokens", 0, 1, ("[PAD]", "[CLS]", "[SEP]", "tea"), 4),))
    arrays = {"tokens": np.array([[1, 3, 2, 0]]), "token_lengths": np.array([3]), "dense": np.ones((1, 2), np.float32)}
    nothing = blank(arrays, spec)
    assert {name: values.tolist() for name, values in nothing.items()} == {"tokens": [[1, 0, 2, 0]], "dense": [[0, 0]]}


@dataclass
class Fitted:
    """Fitted features, as far as cases need them."""

    schema: Schema
    spec: FeatureSpec
    description: list[dict[str, Any]] = field(default_factory=list)


FEATURES = Fitted(
    Schema(
        (
            Column("id", "string", "key"),
            Column("title", "string"),
            Column("review", "string"),
            Column("age", "number"),
            Column("at", "time"),
            Column("shop", "string"),
        )
    ),
    FeatureSpec(
        (
            FeatureBlock("title", "tfidf", "bag", 0, 2, ("title: dull", "title: fine")),
            FeatureBlock("review", "tfidf", "bag", 2, 3, ("review: bad", "review: not bad", "review: ok")),
            FeatureBlock("age", "standardize", "dense", 0, 1, ("age",)),
            FeatureBlock("at", "time_parts", "dense", 1, 1, ("at",)),
            FeatureBlock("shop", "vocabulary", "ids", 0, 1, ("shop",), 4),
        )
    ),
    [
        {"column": name, "kind": "string", "extractor": "tfidf", "settings": {"analyzer": "word"}, "why": ""}
        for name in ("title", "review")
    ],
)


def arrays(raw: Any) -> dict[str, np.ndarray]:
    """Those of two rows, as a graph would give them."""
    return {
        "bag_ids": np.array([[1, 2, 3], [0, 0, 0]]),
        "bag_weights": np.array([[0.5, 0.6, 0.8], [1.0, 0.0, 0.0]], np.float32),
        "dense": np.array([[1.0, 2.0], [-1.0, 0.5]], np.float32),
        "ids": np.array([[2], [0]]),
    }


def rows(outputs: dict[str, np.ndarray]) -> Part:
    return Part(
        raw={
            "title": np.array(["Fine!", "dull"], object),
            "review": np.array(["Not bad", ""], object),
            "age": np.array([41.5, np.nan], np.float32),
            "at": np.array([86_400, 0]),
            "shop": np.array(["north", ""], object),
        },
        target=np.array([1, 0]),
        outputs=outputs,
        keys={"id": np.array(["r1", "r2"], object)},
    )


def fitted_linear(task: Task) -> Linear:
    model = Linear(LinearSettings(), FEATURES.spec, task)
    rng = np.random.default_rng(0)
    model.load_state({name: rng.normal(size=values.shape).astype(np.float32) for name, values in model.state().items()})
    return model


def binary_task() -> Binary:
    task = Binary(BinarySettings())
    task.fit_target(np.array(["0", "1", "1"], object))
    return task


def test_the_terms_of_a_sum_are_found_on_texts_and_columns():
    task = binary_task()
    model = fitted_linear(task)
    outputs = {"label": np.array(["1", "1"], object), "probability": np.array([0.8, 0.7], np.float32)}
    found = explained_cases(task, rows(outputs), FEATURES, arrays, model, 2)
    assert found is not None
    assert found["method"] == "exact"
    right, wrong = found["cases"]
    assert (right["row"], right["right"], right["label"], right["target"]) == ({"id": "r1"}, True, "1", "1")
    assert (wrong["row"], wrong["right"], wrong["target"], wrong["confidence"]) == ({"id": "r2"}, False, "0", pytest.approx(0.7))
    title, review = right["texts"]
    terms = model.terms[:, 0]
    assert title["pieces"] == [["Fine", pytest.approx(0.5 * terms[1], abs=1e-5)], ["!", 0.0]]
    # "bad" has all of its own term, and its share of "not bad", by characters.
    assert review["pieces"][2] == ["bad", pytest.approx(0.6 * terms[2] + 0.8 * terms[3] * 3 / 7, abs=1e-5)]
    assert {(c["column"], c["value"]) for c in right["columns"]} == {
        ("age", 41.5),
        ("at", "1970-01-02 00:00:00+00:00"),
        ("shop", "north"),
    }
    assert {c["column"]: c["value"] for c in wrong["columns"]}["age"] is None
    for case in found["cases"]:
        shares = [share for text in case["texts"] for _, share in text["pieces"]] + [c["share"] for c in case["columns"]]
        total = sum(shares) + sum(text["rest"] for text in case["texts"])
        assert total == pytest.approx(case["score"] - case["reference"], abs=1e-4)
        assert case["gap"] < 1e-4


def test_the_label_of_several_classes_is_what_shares_speak_for():
    task = Multiclass(MulticlassSettings())
    task.fit_target(np.array(CLASSES, object))
    model = fitted_linear(task)
    outputs = {"label": np.array(["b", "c"], object), "probability": np.array([[0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])}
    found = explained_cases(task, rows(outputs), FEATURES, arrays, model, 2)
    assert found is not None
    scores = model.scores(arrays(None))
    assert found["cases"][0]["score"] == pytest.approx(scores[0, 1] - scores[0].mean(), abs=1e-5)
    assert max(case["gap"] for case in found["cases"]) < 1e-4


def test_numbers_are_those_met_best_and_those_missed_by_most():
    test = Part({}, np.array([1.0, 2, 3, 4, 5]), {"prediction": np.array([1.5, 2, 9, 3.9, 5.2], np.float32)})
    assert choose_numbers(test, 4).tolist() == [1, 3, 2, 0]
    assert choose_numbers(test, 9).tolist() == [1, 3, 4, 2, 0]
    assert choose_numbers(test, 1).tolist() == [1]


def test_shares_of_a_number_are_of_its_score():
    task = Regression(RegressionSettings())
    task.fit_target(np.array([1.0, 2.0, 4.0]))
    model = fitted_linear(task)
    found = explained_cases(task, rows({"prediction": np.array([1.5, 7.0], np.float32)}), FEATURES, arrays, model, 2)
    assert found is not None
    first, second = found["cases"]
    assert (first["prediction"], first["target"], second["prediction"], second["target"]) == (1.5, 1.0, 7.0, 0.0)
    assert [case["score"] for case in found["cases"]] == pytest.approx(model.scores(arrays(None))[:, 0], abs=1e-5)
    assert max(case["gap"] for case in found["cases"]) < 1e-4


def test_columns_beyond_the_first_are_summed_up(monkeypatch):
    monkeypatch.setattr("shopkit.evaluation.cases.MOST_COLUMNS", 1)
    task = binary_task()
    outputs = {"label": np.array(["1", "1"], object), "probability": np.array([0.8, 0.7], np.float32)}
    found = explained_cases(task, rows(outputs), FEATURES, arrays, fitted_linear(task), 1)
    assert found is not None
    assert [column["column"] for column in found["cases"][0]["columns"]][1:] == [OTHERS]


def test_a_long_text_is_cut_and_nothing_is_lost(monkeypatch):
    monkeypatch.setattr("shopkit.evaluation.cases.MOST_CHARACTERS", 4)
    task = binary_task()
    outputs = {"label": np.array(["1", "1"], object), "probability": np.array([0.8, 0.7], np.float32)}
    found = explained_cases(task, rows(outputs), FEATURES, arrays, fitted_linear(task), 1)
    assert found is not None
    text = found["cases"][0]["texts"][1]
    assert ([piece for piece, _ in text["pieces"]], text["is_cut"]) == (["Not", " "], True)
    assert text["rest"] != 0


class Opaque(Linear):
    """Answers, and does not say why."""

    contributions = Estimator.contributions


def test_what_has_no_cases():
    task = binary_task()
    outputs = {"label": np.array(["1", "1"], object), "probability": np.array([0.8, 0.7], np.float32)}
    assert explained_cases(task, rows(outputs), FEATURES, arrays, fitted_linear(task), 0) is None
    opaque = Opaque(LinearSettings(), FEATURES.spec, task)
    assert explained_cases(task, rows(outputs), FEATURES, arrays, opaque, 2) is None
    amount = Regression(RegressionSettings())
    assert explained_cases(amount, rows({"prediction": np.ones(2)}), FEATURES, arrays, opaque, 2) is None


class Tokens(Model):
    """Every token has a score of its own; looks at all alike."""

    def __init__(self) -> None:
        super().__init__(None, TEXTS.spec, 1)
        self.table = nn.Embedding(7, 1)
        self.table.weight.data = torch.arange(7.0)[:, None]

    def forward(self, batch: Batch) -> Tensor:
        scores: Tensor = self.table(batch["tokens"]).sum(1)
        return scores

    def entries(self) -> dict[str, nn.Module]:
        return {"tokens": self.table}

    def attention(self, batch: Batch) -> Tensor:
        inside = (batch["tokens"] != 0).float()
        return inside / inside.sum(1, keepdim=True)


PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "tea", "##pot", "cup")
TEXTS = Fitted(
    Schema((Column("id", "string", "key"), Column("title", "string"), Column("review", "string"))),
    FeatureSpec(
        tuple(FeatureBlock(name, "wordpiece", "tokens", at, 1, PIECES, 7) for at, name in enumerate(("title", "review")))
    ),
)


@pytest.mark.parametrize("has_special", [True, False])
def test_the_stream_of_tokens_is_found_on_its_texts(has_special):
    task = binary_task()
    raw = {"title": np.array(["Teapot"], object), "review": np.array(["A cup"], object)}
    outputs = {"label": np.array(["1"], object), "probability": np.array([0.8], np.float32)}
    test = Part(raw, np.array([1]), outputs, keys={"id": np.array(["r1"], object)})
    stream = [2, 4, 5, 3, 1, 6, 3, 0] if has_special else [4, 5, 3, 1, 6]

    def transform(raw: Any) -> dict[str, np.ndarray]:
        return {"tokens": np.array([stream]), "token_lengths": np.array([sum(map(bool, stream))])}

    found = explained_cases(task, test, TEXTS, transform, Tokens(), 1)
    assert found is not None
    title, review = found["cases"][0]["texts"]
    assert title["pieces"] == [["Teapot", pytest.approx(9.0)]]
    assert review["pieces"] == [["A", pytest.approx(1.0)], [" ", 0.0], ["cup", pytest.approx(6.0)]]
    assert sum(weight for text in (title, review) for _, weight in text["attention"]) == pytest.approx(
        4 / sum(map(bool, stream)), abs=1e-5
    )


STEPS = Fitted(
    Schema((Column("id", "string", "key"), Column("item", "string", sequence=True), Column("spent", "number", sequence=True))),
    FeatureSpec(
        (
            FeatureBlock("item", "vocabulary", "sequence_ids", 0, 1, ("item",), 5),
            FeatureBlock("spent", "log1p", "sequence_dense", 0, 1, ("spent",)),
        )
    ),
)


@pytest.mark.parametrize(("keep", "items"), [("latest", ["milk", ""]), ("earliest", ["tea", "milk"])])
@pytest.mark.parametrize("pooling", ["last", "attention"])
def test_steps_that_were_read_are_shown(keep, items, pooling):
    torch.manual_seed(0)
    model = LSTM(LSTMSettings(hidden_dim=4, pooling=pooling), STEPS.spec, 1)
    sequences = {
        "item": np.empty(1, object),
        "spent": np.empty(1, object),
    }
    sequences["item"][0] = np.array(["tea", "milk", ""], object)
    sequences["spent"][0] = np.array([1.0, np.nan, 3.0], np.float32)
    outputs = {"label": np.array(["1"], object), "probability": np.array([0.8], np.float32)}
    test = Part({}, np.array([1]), outputs, keys={"id": np.array(["r1"], object)}, sequences=sequences)

    def transform(raw: Any) -> dict[str, np.ndarray]:
        ids, spent = np.array([[[2], [3], [0]]]), np.array([[[0.1], [0.5], [0.9]]], np.float32)
        return {"sequence_ids": ids, "sequence_dense": spent, "lengths": np.array([2])}

    found = explained_cases(binary_task(), test, STEPS, transform, model, 1, keep)
    assert found is not None
    steps = found["cases"][0]["steps"]
    assert steps["columns"] == ["item", "spent"]
    assert [row["values"][0] for row in steps["rows"]] == items
    assert [row["values"][1] for row in steps["rows"]] == ([None, 3.0] if keep == "latest" else [1.0, None])
    assert all(row["share"] for row in steps["rows"])
    looked = [row["attention"] for row in steps["rows"] if "attention" in row]
    assert looked == [] if pooling == "last" else sum(looked) == pytest.approx(1.0, abs=1e-5)


class Pixels(Model):
    """Bright pixels of the left half count."""

    def __init__(self) -> None:
        super().__init__(None, FeatureSpec(()), 1)
        self.scale = Scale()
        self.weight = nn.Parameter(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))

    def forward(self, batch: Batch) -> Tensor:
        return (self.scale(batch["image"]) * self.weight).sum((1, 2, 3)).unsqueeze(1)

    def entries(self) -> dict[str, nn.Module]:
        return {"image": self.scale}


class Scale(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image.float() / 255


def test_the_pixels_of_an_image():
    features = Fitted(
        Schema((Column("id", "string", "key"),)),
        FeatureSpec((FeatureBlock("photo", "image", "image", 0, 1, (), shape=(3, 2, 2)),)),
    )
    pixels = np.full((1, 3, 2, 2), 255, np.uint8)
    pixels[0, 0, 0, 0] = 0
    outputs = {"label": np.array(["1"], object), "probability": np.array([0.8], np.float32)}
    test = Part({}, np.array([1]), outputs, keys={"id": np.array(["r1"], object)})
    found = explained_cases(binary_task(), test, features, lambda raw: {"image": pixels}, Pixels(), 1)
    assert found is not None
    image = found["cases"][0]["image"]
    assert np.array(image["pixels"]).shape == (3, 2, 2)
    np.testing.assert_allclose(image["shares"], [[2.0, 0.0], [-3.0, 0.0]], atol=1e-5)


def test_two_kinds_of_terms_of_one_text_are_added_up():
    blocks = (
        FeatureBlock("review", "tfidf", "bag", 0, 1, ("review: goo",)),
        FeatureBlock("review", "tfidf", "bag", 1, 1, ("review: goo",)),
    )
    described = [
        {"column": "review", "kind": "string", "extractor": "tfidf", "settings": {"analyzer": analyzer}, "why": ""}
        for analyzer in ("word", "char")
    ]
    schema = Schema((Column("id", "string", "key"), Column("review", "string")))
    features = Fitted(schema, FeatureSpec(blocks), described)
    task = binary_task()
    model = Linear(LinearSettings(), features.spec, task)
    model.load_state({**model.state(), "terms": np.array([[1.0], [2.0]], np.float32)})
    outputs = {"label": np.array(["1"], object), "probability": np.array([0.8], np.float32)}
    test = Part({"review": np.array(["good"], object)}, np.array([1]), outputs, keys={"id": np.array(["r1"], object)})
    bag = {"bag_ids": np.array([[0, 1]]), "bag_weights": np.ones((1, 2), np.float32)}
    found = explained_cases(task, test, features, lambda raw: bag, model, 1)
    assert found is not None
    (text,) = found["cases"][0]["texts"]
    # "goo" is no word of the text, but is among its characters.
    assert (text["pieces"], text["rest"]) == ([["good", pytest.approx(2.0)]], pytest.approx(1.0))
