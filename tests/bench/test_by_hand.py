"""What a person would write in pandas, beside the features' graph, extractor by extractor."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shopkit.bench.by_hand import FITS, by_hand
from shopkit.bench.clock import TURN_SECONDS, CannotError, summary, take_turns
from shopkit.features.graph import FittedFeatures, fit
from shopkit.features.plan import resolve
from shopkit.features.settings import FeaturePlan
from shopkit.features.training_part import training_part
from shopkit.features.transform import transform
from shopkit.registry import load_registry
from shopkit.schema import Column, Schema

RNG = np.random.default_rng(0)
N = 400
FRAME = pd.DataFrame(
    {
        "price": np.where(RNG.random(N) < 0.1, np.nan, RNG.lognormal(size=N)).astype(np.float32),
        "color": RNG.choice(np.array(["red", "blue", "green", ""], object), N),
        "at": RNG.integers(1_600_000_000, 1_700_000_000, N),
    }
)
KINDS = {"price": "number", "color": "string", "at": "time"}


def fitted(column: str, extractor: dict[str, Any], folder: Path) -> tuple[FittedFeatures, dict[str, np.ndarray]]:
    path = folder / "examples.parquet"
    FRAME.to_parquet(path)
    schema = Schema((Column(column, KINDS[column]),))  # type: ignore[arg-type]
    with training_part(path, np.ones(N, bool), target=np.arange(N) % 2) as context:
        features = fit(resolve(FeaturePlan(columns={column: extractor}), schema, context, (), load_registry()), context)
    return features, transform(features.model, features.spec, path, {"all": np.ones(N, bool)})["all"]


@pytest.mark.parametrize(
    ("column", "extractor", "near"),
    [
        ("price", {"name": "standardize"}, 1e-4),
        ("price", {"name": "log1p"}, 1e-4),
        ("price", {"name": "identity"}, 0.0),
        ("price", {"name": "identity", "missing": "keep"}, 0.0),
        ("price", {"name": "impute", "strategy": "mean"}, 1e-4),
        ("price", {"name": "impute", "strategy": "constant", "value": 3.0}, 0.0),
        ("price", {"name": "quantile", "output": "uniform"}, 0.01),
        ("price", {"name": "quantile"}, None),  # numbers differ in the tails, where the graph adds knots
        ("price", {"name": "bucketize", "n_bins": 8}, None),
        ("price", {"name": "bucketize", "n_bins": 8, "encode": "one_hot"}, None),
        ("price", {"name": "piecewise_linear", "n_bins": 8}, None),  # edges are each side's own
        ("color", {"name": "one_hot"}, 0.0),
        ("color", {"name": "vocabulary"}, 0.0),
        ("at", {"name": "time_parts", "parts": ["elapsed"]}, 1e-3),
        ("at", {"name": "time_parts"}, None),
    ],
    ids=str,
)
def test_arrays_are_those_of_the_graph(column: str, extractor: dict[str, Any], near: float | None, tmp_path: Path) -> None:
    features, expected = fitted(column, extractor, tmp_path)
    vocabularies = features.vocabularies
    arrays = by_hand(features.spec, features.description, FRAME, vocabularies, tmp_path)
    found = arrays(FRAME)
    assert set(found) == set(expected)
    for name, values in found.items():
        assert values.shape == expected[name].shape
        assert values.dtype == expected[name].dtype
        if near is not None:
            np.testing.assert_allclose(values, expected[name], atol=near or 1e-6)
    unseen = arrays(
        pd.DataFrame({"price": [np.float32(np.nan)], "color": ["a colour of its own"], "at": [np.iinfo(np.int64).min]})
    )
    assert all(len(values) == 1 for values in unseen.values())


def test_every_way_is_of_an_extractor_there_is() -> None:
    known = {entry.component.name for entry in load_registry().components("features")}
    assert set(FITS) <= known


def test_what_no_one_would_write_is_refused(tmp_path: Path) -> None:
    features, _ = fitted("color", {"name": "tfidf"}, tmp_path)
    with pytest.raises(CannotError, match="no one would write tfidf in pandas"):
        by_hand(features.spec, features.description, FRAME, {}, tmp_path)


def test_contestants_take_turns_and_share_the_time() -> None:
    order: list[str] = []

    def slow(name: str) -> None:
        order.append(name)
        time.sleep(2 * TURN_SECONDS)

    found = take_turns({"a": lambda: slow("a"), "b": lambda: slow("b")}, 0.0)
    assert "".join(order) == "abbaab"
    assert len(found["a"]) + len(found["b"]) == len(order)
    assert take_turns({}, 1.0) == {}
    told = summary(np.array([0.001, 0.002, 0.003]), 10)
    assert (told["n_calls"], told["p50_ms"]) == (3, 2.0)
    assert told["rows_per_second"] == pytest.approx(5000)
