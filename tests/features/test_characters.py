"""Characters as ids: the graph equals the slow reference."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.errors import ConfigError
from shopkit.features.settings import CharactersSettings, FeaturePlan
from shopkit.features.training_part import training_part
from tests.features.fitting import REGISTRY, Fitted, fit_column, fit_table, texts, write

TRAIN = texts(["质量不错", "质量 Good good", "", "éa ÉA", "aaaa"])


@cache
def fitted(keep: str = "start", lowercase: bool = True) -> Fitted:
    return fit_column(TRAIN, {"name": "characters", "max_length": 8, "keep": keep, "lowercase": lowercase})


@pytest.mark.parametrize("keep", ["start", "end"])
@pytest.mark.parametrize("lowercase", [True, False])
@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(
        st.one_of(st.sampled_from(list(TRAIN)), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)),
        min_size=1,
    )
)
def test_graph_equals_reference(keep: str, lowercase: bool, values: list[str]) -> None:
    of = fitted(keep, lowercase)
    found = of.run({"x": texts(values)})
    np.testing.assert_array_equal(found["tokens"], of.reference("x", texts(values)))
    np.testing.assert_array_equal(found["token_lengths"], [min(8, len(value)) for value in values])


def test_a_letter_that_python_makes_two_of_is_one() -> None:
    of = fit_column(texts(["İİ", "ii", "xx"]), {"name": "characters"})
    assert of.states["x"]["characters"].tolist() == ["i", "x"]
    for values in (["İx"], ["İ", "ix"]):
        found = of.run({"x": texts(values)})
        np.testing.assert_array_equal(found["tokens"], of.reference("x", texts(values)))
    assert of.run({"x": texts(["İx"])})["tokens"].tolist() == [[3, 4]]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 9])
def test_all_rows_are_counted_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr("shopkit.features.tokens.BATCH_ROWS", 4)
    table = {"x": texts(list("abcdefghi"[:rows])), "y": texts(["zz"] * rows)}
    spec = {"name": "characters", "min_count": 1}
    of = fit_table(table, FeaturePlan(columns={"x": spec, "y": spec}))
    assert of.states["y"]["characters"].tolist() == ["z", *table["x"]]


def test_each_row_is_counted_once_and_an_empty_one_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopkit.features.tokens.BATCH_ROWS", 4)
    values = texts(["", "a", "a", "a", "b", "b", "", "b", "b", "c", "", ""])
    of = fit_column(values, {"name": "characters", "min_count": 1})
    assert of.states["x"]["characters"].tolist() == ["b", "a", "c"]
    often = fit_column(values, {"name": "characters", "min_count": 4})
    assert often.states["x"]["characters"].tolist() == ["b"]


def test_one_column_is_learnt_as_several_are(tmp_path: Path) -> None:
    path = write({"x": TRAIN}, tmp_path / "examples.parquet")
    for spec in ("characters", {"name": "wordpiece", "vocabulary": "scratch"}):
        extractor = REGISTRY.build(REGISTRY.choice("features", spec))
        with training_part(path, np.ones(len(TRAIN), bool)) as part:
            one, (of_several,) = extractor.fit("x", part), extractor.fit_columns(["x"], part)
        assert {name: values.tolist() for name, values in one.items()} == {
            name: values.tolist() for name, values in of_several.items()
        }


def test_ids_by_falling_count_and_rare_ones_unknown() -> None:
    of = fitted()
    (block,) = of.blocks("x")
    assert (block.extractor, block.width, block.cardinality, block.shape) == ("characters", 1, len(block.names), (8,))
    assert of.features.spec.tokens.names[:4] == ("[PAD]", "[UNK]", "[SEP]", "a")
    assert of.run({"x": texts(["不a"])})["tokens"].tolist() == [[1, 3]]


def test_several_texts_end_each_with_an_id_of_their_own() -> None:
    of = fit_table({"a": TRAIN, "b": TRAIN}, FeaturePlan(strings={"name": "characters", "max_length": 8}))
    found = of.run({"a": texts(["a", "", "aaaaaaa"]), "b": texts(["aa", "aaaaaaaaaa", "aaaa"])})
    assert found["tokens"].tolist() == [[3, 2, 3, 3, 2, 0, 0, 0], [2, 3, 3, 3, 3, 3, 3, 2], [3, 3, 3, 2, 3, 3, 3, 2]]
    assert found["token_lengths"].tolist() == [5, 8, 8]


def test_a_row_without_text_and_no_rows() -> None:
    found = fitted().run({"x": texts([""])})
    assert (found["tokens"].tolist(), found["token_lengths"].tolist()) == ([[0]], [0])
    assert fitted().run({"x": texts([])})["token_lengths"].shape == (0,)
    assert fitted().reference("x", texts([])).shape == (0, 1)


def test_where_there_is_no_room_no_text_is_read() -> None:
    names = "abcdefg"
    of = fit_table(dict.fromkeys(names, TRAIN), FeaturePlan(strings={"name": "characters", "max_length": 8}))
    found = of.run({name: texts(["aaa", ""]) for name in names})
    assert found["tokens"].tolist() == [[2] * 7, [2] * 7]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"min_count": 0}, r"characters.min_count is 0; it must be at least 1"),
        ({"max_size": 0}, r"characters.max_size is 0"),
        ({"max_length": 7}, r"characters.max_length is 7; it must be at least 8"),
    ],
)
def test_settings_are_checked(given: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CharactersSettings(**given)
