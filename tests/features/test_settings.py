"""Settings that are refused, each with its sentence, and the least ones that are not."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from shopkit.errors import ConfigError
from shopkit.features import settings
from shopkit.features.settings import parse_spec

LEAST: list[tuple[Callable[..., Any], str, str, int]] = [
    # class, component, setting, least value
    (settings.FeaturePlan, "features", "max_length", 0),
    (settings.FeaturePlan, "features", "max_one_hot", 0),
    (settings.FeaturePlan, "features", "min_piecewise", 2),
    (settings.QuantileSettings, "quantile", "n_quantiles", 2),
    (settings.BucketizeSettings, "bucketize", "n_bins", 2),
    (settings.PiecewiseLinearSettings, "piecewise_linear", "n_bins", 1),
    (settings.VocabularySettings, "vocabulary", "min_count", 1),
    (settings.VocabularySettings, "vocabulary", "max_size", 1),
    (settings.OneHotSettings, "one_hot", "min_count", 1),
    (settings.OneHotSettings, "one_hot", "max_size", 1),
    (settings.TargetRateSettings, "target_rate", "smoothing", 0),
    (settings.TargetRateSettings, "target_rate", "n_folds", 2),
    (settings.TargetRateSettings, "target_rate", "max_size", 1),
    (settings.TextSettings, "text", "max_characters", 0),
    (settings.TfidfSettings, "tfidf", "max_characters", 0),
    (settings.TfidfSettings, "tfidf", "min_df", 1),
    (settings.TfidfSettings, "tfidf", "max_features", 0),
    (settings.HashedNgramsSettings, "hashed_ngrams", "max_characters", 0),
    *[
        (settings.Word2vecSettings, "word2vec", name, 1)
        for name in ("dim", "window", "min_count", "max_size", "negatives", "epochs")
    ],
    (settings.Word2vecSettings, "word2vec", "sample", 0),
    (settings.Word2vecSettings, "word2vec", "max_characters", 0),
    (settings.WordpieceSettings, "wordpiece", "vocabulary_size", 10),
    (settings.WordpieceSettings, "wordpiece", "min_count", 1),
    (settings.WordpieceSettings, "wordpiece", "max_length", 8),
    (settings.CharactersSettings, "characters", "min_count", 1),
    (settings.CharactersSettings, "characters", "max_size", 1),
    (settings.CharactersSettings, "characters", "max_length", 8),
]


@pytest.mark.parametrize(("build", "component", "setting", "least"), LEAST)
def test_the_least_value_is_taken_and_less_is_not(build, component, setting, least):
    assert getattr(build(**{setting: least}), setting) == least
    for less in (least - 1, least - 0.5, math.nan):
        with pytest.raises(ConfigError, match=rf"^{component}\.{setting} is {less!r}; it must be at least {least}\.$"):
            build(**{setting: less})


def extractor(where: str, what: str) -> str:
    return f"{where} is {what}; write an extractor's name, {{name: …, <setting>: …}}, or a list of those."


def without_name(where: str, what: str) -> str:
    return f"{where} is {what}, which has no name: write {{name: <extractor>, <setting>: <value>}}."


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: settings.FeaturePlan(numbers=3), extractor("features.numbers", "3")),
        (lambda: settings.FeaturePlan(times=""), extractor("features.times", "''")),
        (lambda: settings.FeaturePlan(images=None), extractor("features.images", "None")),
        (lambda: settings.FeaturePlan(columns={"a": []}), extractor("features.columns.a", "[]")),
        (lambda: settings.FeaturePlan(columns={"a": ["log1p", ()]}), extractor("features.columns.a", "()")),
        (lambda: settings.FeaturePlan(strings={"min_count": 2}), without_name("features.strings", "{'min_count': 2}")),
        (lambda: settings.FeaturePlan(strings={"name": None}), without_name("features.strings", "{'name': None}")),
        (lambda: settings.BucketizeSettings(edges=[2.0, 1.0]), "bucketize.edges is [2.0, 1.0]; edges must ascend."),
        (lambda: settings.BucketizeSettings(edges=[1.0, 1.0]), "bucketize.edges is [1.0, 1.0]; edges must ascend."),
        (
            lambda: settings.TimePartsSettings(parts=[]),
            "time_parts.parts is empty; name at least one of hour, weekday, day_of_month, day_of_year, elapsed.",
        ),
        (
            lambda: settings.TimePartsSettings(parts=["hour", "hour"]),
            "time_parts.parts is ['hour', 'hour']; name each part once.",
        ),
        *[
            (
                lambda given=given: settings.HashedNgramsSettings(ngram_range=given),
                f"hashed_ngrams.ngram_range is {given}; give the shortest and the longest n-gram, e.g. [1, 2].",
            )
            for given in ([], [1], [1, 2, 3], [0, 1], [3, 2])
        ],
        *[
            (
                lambda given=given: settings.TfidfSettings(max_df=given),
                f"tfidf.max_df is {given}; it is a share of the texts, above 0 and at most 1.",
            )
            for given in (0, -0.5, 1.5, math.nan)
        ],
        *[
            (
                lambda given=given: settings.HashedNgramsSettings(n_bits=given),
                f"hashed_ngrams.n_bits is {given}; it must be from 1 to 30.",
            )
            for given in (0, 31)
        ],
        *[
            (lambda given=given: settings.Word2vecSettings(lr=given), f"word2vec.lr is {given}; it must be above 0.")
            for given in (0, -1.0, math.nan)
        ],
        (
            lambda: settings.WordpieceSettings(vocabulary=""),
            "wordpiece.vocabulary is empty; write minilm, the folder of an encoder, or scratch.",
        ),
    ],
)
def test_refused(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        build()


def test_the_outermost_values_are_taken() -> None:
    assert settings.TfidfSettings(max_df=1, ngram_range=[1, 1]).ngram_range == [1, 1]
    assert [settings.HashedNgramsSettings(n_bits=n).n_bits for n in (1, 30)] == [1, 30]
    assert settings.NgramSettings(ngram_range=[2, 5]).ngram_range == [2, 5]
    assert settings.BucketizeSettings(edges=[1.0, 1.5]).edges == [1.0, 1.5]
    plan = settings.FeaturePlan(images="auto", columns={"a": "auto", "b": ["log1p", {"name": "impute", "value": 1.0}]})
    assert plan.columns["a"] == "auto"
    assert plan.chosen() == [("features.columns.b", "log1p", {}), ("features.columns.b", "impute", {"value": 1.0})]


def test_specs() -> None:
    assert parse_spec("log1p", "here") == [("log1p", {})]
    assert parse_spec({"name": "bucketize", "n_bins": 4}, "here") == [("bucketize", {"n_bins": 4})]
    assert parse_spec(("log1p", {"name": "impute"}), "here") == [("log1p", {}), ("impute", {})]
    assert parse_spec(["log1p", ["identity"]], "here") == [("log1p", {}), ("identity", {})]
    assert parse_spec({"name": "x", 3: 4}, "here") == [("x", {"3": 4})]
