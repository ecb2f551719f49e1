"""scikit-learn's pipeline for the question of a run, where it has one of the same kind."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from shopkit.bench.clock import Call, CannotError, Contestant
from shopkit.bench.rebuilt import Rebuilt
from shopkit.bench.rows import as_frame
from shopkit.raw import read_columns
from shopkit.schema import Schema

NAME = "scikit-learn"
ROUNDS = 5
"""Of training: how long an answer takes does not depend on how good it is."""


def contestant(rebuilt: Rebuilt) -> Contestant:
    """A fitted pipeline: standardised numbers and one-hot categories, or TF-IDF of one text, and the nearest model.

    Raises:
        CannotError: scikit-learn is not installed, or has no such model or features.
    """
    pipeline, what = _fitted(rebuilt)
    answer = pipeline.predict_proba if hasattr(pipeline, "predict_proba") else pipeline.predict

    def prepare(n_rows: int, threads: int) -> Call:
        frame = as_frame(rebuilt.rows.take(n_rows))
        return lambda: answer(frame)

    return Contestant(NAME, what, "DataFrame", prepare)


def _fitted(rebuilt: Rebuilt) -> tuple[Any, str]:
    columns, name = rebuilt.columns, rebuilt.experiment.model.name
    if any(column.sequence or column.kind not in ("number", "string") for column in columns):
        raise CannotError("it has no transformer for sequences, times or images")
    try:
        from sklearn.pipeline import make_pipeline
    except ImportError as error:
        raise CannotError("it is not installed") from error
    transformer, features = _features(rebuilt)
    estimator = _estimator(rebuilt, name)
    raw = rebuilt.training_rows()
    frame = as_frame(raw)
    pipeline = make_pipeline(transformer, estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few rounds do not converge, and need not
        pipeline.fit(frame, _target(rebuilt, len(frame)))
    return pipeline, f"scikit-learn: {features}, {type(estimator).__name__}"


def _features(rebuilt: Rebuilt) -> tuple[Any, str]:
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts = [row for row in rebuilt.described if row["extractor"] in ("tfidf", "ngrams", "hashed_ngrams")]
    if len(texts) == len(rebuilt.columns) == 1:
        analyzer = {"word": "word", "char": "char", "letter": "char"}.get(str(texts[0].get("analyzer")), "word")
        vectorizer = TfidfVectorizer(analyzer=analyzer, ngram_range=tuple(texts[0].get("ngram_range", (1, 1))))
        return ColumnTransformer([("text", vectorizer, texts[0]["column"])]), "TF-IDF"
    if any(block.tensor not in ("dense", "ids") for block in rebuilt.spec.blocks):
        raise CannotError("it has no transformer for these texts")
    numbers = [column.name for column in rebuilt.columns if column.kind == "number"]
    strings = [column.name for column in rebuilt.columns if column.kind == "string"]
    of_numbers = make_pipeline(SimpleImputer(), StandardScaler())
    encoder = OneHotEncoder(handle_unknown="ignore", max_categories=1000)
    parts = [("numbers", of_numbers, numbers), ("strings", encoder, strings)]
    return ColumnTransformer([part for part in parts if part[2]]), "imputed, standardised and one-hot"


def _estimator(rebuilt: Rebuilt, name: str) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    is_number = rebuilt.experiment.task.name == "regression"
    if rebuilt.experiment.task.name not in ("binary", "multiclass", "regression"):
        raise CannotError(f"it has no model for the task {rebuilt.experiment.task.name}")
    if name == "linear":
        return Ridge() if is_number else LogisticRegression(max_iter=ROUNDS)
    if name == "mlp":
        hidden = tuple(rebuilt.experiment.model.settings.hidden)
        return (MLPRegressor if is_number else MLPClassifier)(hidden, max_iter=ROUNDS, random_state=0)
    raise CannotError(f"it has no model like {name}")


def _target(rebuilt: Rebuilt, n_rows: int) -> np.ndarray:
    facts = rebuilt.run.facts("examples") or {}
    target = Schema.from_json(facts["schema"]).the("target")
    assert target is not None
    values = read_columns(rebuilt.run.examples_path, [target.name])[target.name]
    is_train = read_columns(rebuilt.run.split_path, ["part"])["part"] == "train"
    encoded: np.ndarray = rebuilt.task.encode(values[is_train][:n_rows])
    return encoded
