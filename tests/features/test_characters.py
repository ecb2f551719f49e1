"""Characters as ids: the graph equals the slow reference."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.errors import ConfigError
from shopkit.features.settings import CharactersSettings, FeaturePlan
from tests.features.fitting import Fitted, fit_column, fit_table, texts

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


def test_ids_by_falling_count_and_rare_ones_unknown() -> None:
    of = fitted()
    assert of.features.spec.tokens.names[:4] == ("[PAD]", "[UNK]", "[SEP]", "a")
    assert of.run({"x": texts(["不a"])})["tokens"].tolist() == [[1, 3]]


def test_several_texts_end_each_with_an_id_of_their_own() -> None:
    of = fit_table({"a": TRAIN, "b": TRAIN}, FeaturePlan(strings={"name": "characters", "max_length": 8}))
    found = of.run({"a": texts(["a", ""]), "b": texts(["aa", "aaaaaaaaaa"])})
    assert found["tokens"].tolist() == [[3, 2, 3, 3, 2, 0, 0, 0], [2, 3, 3, 3, 3, 3, 3, 2]]
    assert found["token_lengths"].tolist() == [5, 8]


def test_a_row_without_text_and_no_rows() -> None:
    found = fitted().run({"x": texts([""])})
    assert (found["tokens"].tolist(), found["token_lengths"].tolist()) == ([[0]], [0])
    assert fitted().run({"x": texts([])})["token_lengths"].shape == (0,)


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
