"""Streaming a file through the graph."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import ndonnx as ndx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopkit.errors import ConfigError
from shopkit.features import transform as module
from shopkit.features.base import Encoded, Extractor, FeatureBlock
from shopkit.features.graph import fit
from shopkit.features.plan import Assignment, ResolvedPlan, resolve
from shopkit.features.settings import FeaturePlan
from shopkit.features.tensors import ARRAYS, take
from shopkit.features.training_part import training_part
from shopkit.features.transform import in_memory, load, n_bytes, session, transform
from shopkit.raw import image_structs
from shopkit.registry import load_registry
from shopkit.schema import Column, Schema
from tests.features.fitting import Fitted, fit_table, floats, texts, write

RNG = np.random.default_rng(0)
N = 500
TABLE = {  # strings among the others, so that these do not stand in one piece
    "amount": floats(np.where(RNG.random(N) < 0.1, np.nan, RNG.lognormal(size=N))),
    "color": texts(RNG.choice(["red", "green", ""], N)),
    "age": floats(RNG.integers(18, 90, N)),
    "exact": RNG.random(N) + 1e6,
    "town": texts([f"town {at % 40}" for at in range(N)]),
    "at": RNG.integers(1_500_000_000, 1_600_000_000, N),
}
PLANS: dict[str, dict[str, Any]] = {
    "all": {"columns": {"color": ["one_hot", "vocabulary"], "town": ["target_rate", "vocabulary"], "age": "bucketize"}},
    "strings": {"ignore": ["amount", "age", "exact", "at"]},
    "numbers": {"ignore": ["color", "town"]},
    "ids": {"strings": "vocabulary", "numbers": "bucketize", "ignore": ["at"]},
}


@pytest.fixture(scope="module", params=PLANS)
def fitted(request: pytest.FixtureRequest) -> Fitted:
    return fit_table(TABLE, FeaturePlan(**PLANS[request.param]), target=RNG.random(N))


def expected(fitted: Fitted) -> dict[str, np.ndarray]:
    return fitted.run({column.name: TABLE[column.name] for column in fitted.plan.schema.of_role("feature")})


@pytest.mark.parametrize("batch_rows", [7, 100, 10_000])
@pytest.mark.parametrize("in_memory", [True, False])
def test_parts_hold_their_rows_in_order(fitted: Fitted, batch_rows: int, in_memory: bool, tmp_path: Path) -> None:
    rows = np.sort(RNG.permutation(N)[:100])
    parts = {"train": np.isin(np.arange(N), rows, invert=True), "test": rows, "validation": np.zeros(N, bool)}
    path = write(TABLE, tmp_path / "examples.parquet")
    features = fitted.features
    found = transform(features.model, features.spec, path, parts, None if in_memory else tmp_path, batch_rows)
    for tensor, values in expected(fitted).items():
        np.testing.assert_allclose(np.asarray(found["test"][tensor]), values[rows], atol=1e-6)
        assert found["test"][tensor].dtype == ARRAYS[tensor].dtype
        np.testing.assert_allclose(np.asarray(found["train"][tensor]), np.delete(values, rows, axis=0), atol=1e-6)
        assert found["validation"][tensor].shape == (0, values.shape[1])
        if not in_memory:
            np.testing.assert_array_equal(load(tmp_path, "test", tensor)[:], found["test"][tensor][:])


def test_the_same_twice_to_the_last_bit(fitted: Fitted, tmp_path: Path) -> None:
    path = write(TABLE, tmp_path / "examples.parquet")
    one, two = (transform(fitted.features.model, fitted.features.spec, path, {"all": np.ones(N, bool)})["all"] for _ in range(2))
    for tensor in one:
        np.testing.assert_array_equal(one[tensor], two[tensor])


def test_strings_and_numbers_of_few_values_in_turn(tmp_path: Path) -> None:
    """Each kind in several pieces of `dense`: strings are looked up once, numbers stand where they belong between them."""
    at = np.arange(60)
    table = {
        "a": texts([f"a{n % 3}" for n in at]),
        "n": floats(at % 2),
        "b": texts([f"b{n % 4}" for n in at]),
        "m": floats(at % 5),
        "c": texts([f"c{n % 2}" for n in at]),
        "k": floats(at % 3),
    }
    columns: dict[str, Any] = {"a": "one_hot", "n": "standardize", "b": {"name": "one_hot", "min_count": 2}, "m": "log1p"}
    columns |= {"c": {"name": "one_hot", "min_count": 3}, "k": "identity"}
    fitted = fit_table(table, FeaturePlan(columns=columns))
    features = fitted.features
    starts = {block.column: block.start for block in features.spec.blocks}
    assert sorted(starts, key=starts.__getitem__) == list(table)
    path = write(table, tmp_path / "examples.parquet")
    found = transform(features.model, features.spec, path, {"all": np.ones(60, bool)})["all"]
    np.testing.assert_allclose(found["dense"], fitted.run(table)["dense"], atol=1e-6)


@pytest.mark.parametrize("batch_rows", [7, 10_000])
def test_a_part_may_have_values_of_its_own(batch_rows: int, tmp_path: Path) -> None:
    fitted = fit_table(TABLE, FeaturePlan(strings="one_hot", columns={"town": ["one_hot", "vocabulary"]}, max_one_hot=99))
    at = np.arange(N)
    parts = {"train": (at < 400) & (at % 3 < 2), "test": at % 3 == 2, "late": at > 450}
    spec, start = fitted.features.spec, fitted.features.spec.n_dense - 2
    own = {0: RNG.random((parts["train"].sum(), 1)), start: RNG.random((parts["train"].sum(), 2))}
    path = write(TABLE, tmp_path / "examples.parquet")
    found = transform(fitted.features.model, spec, path, parts, None, batch_rows, {"train": own})
    for part, rows in parts.items():
        values = expected(fitted)["dense"][rows]
        if part == "train":
            values[:, :1], values[:, start:] = own[0], own[start]
        np.testing.assert_allclose(found[part]["dense"], values, atol=1e-6)
        np.testing.assert_array_equal(found[part]["ids"], expected(fitted)["ids"][rows])


TEXTS = texts([" ".join(["tea", "milk", "rice"][: at % 4]) for at in range(50)])
VARIED = FeaturePlan(columns={"x": {"name": "characters", "max_length": 9}})


@pytest.mark.parametrize("plan", [VARIED, FeaturePlan(columns={"x": "one_hot"})], ids=["characters", "one_hot"])
def test_it_says_how_far_it_is(plan: FeaturePlan, said: list[tuple[str, Any]], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "READ_ROWS", 20)
    features = fit_table({"x": TEXTS}, plan).features
    fitting = [value for name, value in said if name != "done"]
    assert fitting == ["fitting alike columns", 1, "", 0]
    said.clear()
    transform(features.model, features.spec, write({"x": TEXTS}, tmp_path / "x.parquet"), {"all": np.ones(50, bool)}, None, 20)
    assert said == [
        ("what", "transforming"), ("done", 0), ("total", 50), *(("done", n) for n in (20, 20, 10)),
        ("what", ""), ("done", 0), ("total", 0),
    ]  # fmt: skip


@pytest.mark.parametrize(("in_files", "most_rows"), [(True, 4096), (False, 4096), (False, 3)])
def test_rows_of_varying_length_by_parts_and_batches(
    in_files: bool, most_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_ROWS", 7)
    monkeypatch.setattr("shopkit.runtime.blocks.MOST_ROWS", most_rows)
    fitted = fit_table({"x": TEXTS}, VARIED)
    parts = {"train": np.arange(50) % 3 != 0, "test": np.arange(50) % 3 == 0, "none": np.zeros(50, bool)}
    path = write({"x": TEXTS}, tmp_path / "examples.parquet")
    arrays = transform(fitted.features.model, fitted.features.spec, path, parts, tmp_path if in_files else None)
    whole = fitted.run({"x": TEXTS})
    for part, rows in parts.items():
        longest = max(1, whole["token_lengths"][rows].max(initial=0))
        found = take(arrays[part], slice(None))
        np.testing.assert_array_equal(found["tokens"], whole["tokens"][rows][:, :longest])
        np.testing.assert_array_equal(found["token_lengths"], whole["token_lengths"][rows])
        tokens = load(tmp_path, part, "tokens") if in_files else arrays[part]["tokens"]
        assert (tokens.values.dtype, tokens.offsets.dtype, tokens[:].dtype) == (np.int32, np.int64, np.int64)
        assert n_bytes(tokens) == 4 * whole["token_lengths"][rows].sum() + 8 * (rows.sum() + 1)
        read = in_memory(tokens)
        np.testing.assert_array_equal(read[:], tokens[:])
        assert read[:].dtype == np.int64
        assert isinstance(tokens.values, np.memmap) == in_files
        assert not isinstance(read.values, np.memmap)
    if in_files:
        lengths = load(tmp_path, "train", "token_lengths")
        assert isinstance(lengths, np.memmap)
        assert not isinstance(in_memory(lengths), np.memmap)
        np.testing.assert_array_equal(in_memory(lengths), arrays["train"]["token_lengths"])
        assert not list(tmp_path.glob("*.bin"))


def test_blocks_of_a_file_come_into_memory(fitted: Fitted, tmp_path: Path) -> None:
    path = write(TABLE, tmp_path / "examples.parquet")
    features = fitted.features
    found = transform(features.model, features.spec, path, {"all": np.ones(N, bool)}, tmp_path)["all"]
    for values in found.values():
        assert type(in_memory(values)) is np.ndarray
        np.testing.assert_array_equal(in_memory(values), values[:])
        assert n_bytes(values) == in_memory(values).nbytes


def test_a_session_takes_the_threads_it_is_given(fitted: Fitted) -> None:
    options = session(fitted.features.model, 3).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level) == (3, 1, 3)
    assert session(fitted.features.model).get_session_options().intra_op_num_threads == 1


class Grey(Extractor):
    """An image of one channel as it is, channels first."""

    accepts = ("image",)
    gives = "image"

    def fit(self, column: str, context: Any) -> dict[str, np.ndarray]:
        return {}

    def blocks(self, column: str, state: Any) -> tuple[FeatureBlock, ...]:
        return (FeatureBlock(column, "grey", "image", 0, 1, (), shape=(1, 2, 3)),)

    def transform(self, columns: Any, states: Any) -> Encoded:
        return Encoded(image=ndx.permute_dims(columns[0], (0, 3, 1, 2)))

    def reference(self, values: np.ndarray, state: Any) -> np.ndarray:
        return values


class Brightness(Grey):
    """Of an image, its mean."""

    gives = None

    def blocks(self, column: str, state: Any) -> tuple[FeatureBlock, ...]:
        return (FeatureBlock(column, "brightness", "dense", 0, 1, (column,)),)

    def transform(self, columns: Any, states: Any) -> Encoded:
        mean = ndx.mean(ndx.astype(columns[0], ndx.float32), axis=(1, 2, 3))
        return Encoded(dense=ndx.reshape(mean, (-1, 1)))


@pytest.mark.parametrize("in_files", [True, False])
def test_images_go_through_beside_other_columns(in_files: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READ_ROWS", 3)
    pixels = RNG.integers(0, 256, (8, 2, 3, 1), dtype=np.uint8)
    columns = (Column("picture", "image", channels=1), Column("n", "number"), Column("past", "string", sequence=True))
    past = [["tea", "milk"][: at % 3] for at in range(8)]
    table = {"picture": image_structs(pixels), "n": pa.array(np.arange(8, dtype=np.float32)), "past": past}
    pq.write_table(pa.table(table), tmp_path / "examples.parquet")
    with training_part(tmp_path / "examples.parquet", np.ones(8, bool)) as context:
        plan = resolve(FeaturePlan(numbers="standardize"), Schema(columns[1:]), context, ["features:sequences"], load_registry())
        grey = Assignment(columns[0], "grey", {}, Grey({}), "")
        mean = Assignment(columns[0], "brightness", {}, Brightness({}), "")
        features = fit(replace(plan, schema=Schema(columns), assignments=(grey, *plan.assignments, mean)), context)
    rows = np.array([0, 2, 3, 7])
    found = transform(
        features.model, features.spec, tmp_path / "examples.parquet", {"test": rows}, tmp_path if in_files else None
    )["test"]
    np.testing.assert_array_equal(found["image"], pixels.transpose(0, 3, 1, 2)[rows])
    np.testing.assert_allclose(np.asarray(found["dense"])[:, 0], ((np.arange(8) - 3.5) / np.arange(8).std())[rows], atol=1e-6)
    np.testing.assert_allclose(np.asarray(found["dense"])[:, 1], pixels.mean(axis=(1, 2, 3))[rows], rtol=1e-6)
    assert found["lengths"].tolist() == [0, 2, 0, 1]
    assert found["sequence_ids"][:][:, :, 0].tolist() == [[0, 0], [2, 3], [0, 0], [2, 0]]
    dtypes = [found[name].dtype for name in ("image", "dense", "lengths")]
    assert dtypes == [np.uint8, np.float32, np.int64]


def test_two_extractors_of_images_are_refused(tmp_path: Path) -> None:
    path = write({"n": floats([1, 2])}, tmp_path / "examples.parquet")
    columns = [Column(name, "image", channels=1) for name in ("front", "back")]
    both = tuple(Assignment(column, f"grey {column.name}", {}, Grey({}), "") for column in columns)
    message = (
        "More than one extractor gives image: front (grey front), back (grey back). A model reads one image: choose one "
        "extractor with the same settings for these columns, or leave columns out with features.ignore."
    )
    with (
        training_part(path, np.ones(2, bool)) as context,
        pytest.raises(ConfigError, match=f"^{re.escape(message)}$"),
    ):
        fit(ResolvedPlan(Schema(tuple(columns)), both), context)


def test_vectors_of_words_go_through_beside_numbers(tmp_path: Path) -> None:
    table = {"x": texts([f"{text} {at}" for at, text in enumerate(TEXTS)]), "n": floats(range(50))}
    fitted = fit_table(table, FeaturePlan(columns={"x": {"name": "word2vec", "dim": 3, "epochs": 1}}))
    path = write(table, tmp_path / "examples.parquet")
    found = transform(fitted.features.model, fitted.features.spec, path, {"all": np.ones(50, bool)}, None, 20)["all"]
    np.testing.assert_allclose(found["dense"], fitted.run(table)["dense"], atol=1e-6)
