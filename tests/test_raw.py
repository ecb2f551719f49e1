"""Reading examples back: whole, in batches, a sample; and who belongs to whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.raw import decision_codes, distinct_texts, evenly, group_codes, part_codes, read_batches, read_columns
from shopkit.schema import Column, Schema

N = 1000
RNG = np.random.default_rng(0)
COLUMNS = {
    "price": RNG.random(N).astype(np.float32),
    "color": RNG.choice(np.array(["red", "grün", ""], object), N),
    "at": RNG.integers(0, 10**9, N),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raw") / "examples.parquet"
    pq.write_table(pa.table(COLUMNS), path, row_group_size=97)
    return path


@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 1200), share=st.sampled_from([0.0, 0.01, 0.5, 1.0]), seed=st.integers(0, 5))
def test_batches_end_to_end_are_the_columns(path: Path, size: int, share: float, seed: int) -> None:
    rows = np.random.default_rng(seed).random(N) < share
    names = ["color", "at", "color"]
    batches = list(read_batches(path, names, rows, size))
    assert all(len(batch["at"]) == size for batch in batches[:-1])
    whole = read_columns(path, names, rows)
    for name in ("color", "at"):
        np.testing.assert_array_equal(np.concatenate([batch[name] for batch in batches]), COLUMNS[name][rows])
        np.testing.assert_array_equal(whole[name], COLUMNS[name][rows])
        assert whole[name].dtype == COLUMNS[name].dtype


@given(n=st.integers(0, 300), share=st.floats(0, 1), most=st.integers(1, 100))
def test_a_sample_is_spread_evenly(n: int, share: float, most: int) -> None:
    rows = np.random.default_rng(n).random(n) < share
    sample = evenly(rows, most)
    assert not (sample & ~rows).any()
    assert sample.sum() == min(most, rows.sum())
    ranks = np.flatnonzero(sample[rows])
    if len(ranks) > 1:
        assert np.ptp(np.diff(ranks)) <= 1


@pytest.mark.parametrize("name", ["color", "at"])
def test_groups_are_numbered_in_order(path: Path, name: str) -> None:
    schema = Schema((Column(name, "string" if name == "color" else "time", role="group"),))
    expected = np.unique(COLUMNS[name], return_inverse=True)[1]
    codes = group_codes(path, schema)
    assert codes is not None
    assert codes.dtype == np.int64
    np.testing.assert_array_equal(codes, expected)


def test_the_first_of_several_keys_is_the_group_unless_it_names_a_row(path: Path, tmp_path: Path) -> None:
    keys = Schema((Column("color", "string", role="key"), Column("at", "time", role="time")))
    found = group_codes(path, keys)
    assert found is not None
    assert found.max() == 2
    alone = tmp_path / "alone.parquet"
    pq.write_table(pa.table({"color": [f"{i}" for i in range(N)], "at": COLUMNS["at"]}), alone)
    assert group_codes(alone, keys) is None
    assert group_codes(path, Schema((Column("color", "string", role="key"),))) is None


def test_decisions_are_told_apart_within_groups(path: Path) -> None:
    schema = Schema((Column("color", "string", role="group"), Column("at", "time", role="decision")))
    groups = group_codes(path, schema)
    codes = decision_codes(path, schema, groups)
    assert codes is not None
    pairs = list(zip(COLUMNS["color"], COLUMNS["at"], strict=True))
    numbers = {pair: number for number, pair in enumerate(sorted(set(pairs)))}
    assert codes.tolist() == [numbers[pair] for pair in pairs]
    assert decision_codes(path, Schema(schema.columns[:1]), groups) is None
    assert decision_codes(path, schema, None) is None


def test_parts_as_codes(tmp_path: Path) -> None:
    path = tmp_path / "split.parquet"
    pq.write_table(pa.table({"part": ["test", "gap", "train", "validation"]}), path)
    assert part_codes(path).tolist() == [2, -1, 0, 1]
    assert part_codes(path).dtype == np.int8


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4), max_size=30))
def test_different_texts_are_those_of_numpy(texts: list[str]) -> None:
    values = np.array([*texts, None], object)[:-1]
    names, places = distinct_texts(values)
    expected = np.unique(values.astype(str), return_inverse=True)
    assert names.tolist() == expected[0].tolist()
    assert places.tolist() == expected[1].tolist()
