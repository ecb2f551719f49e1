"""Drift of each column from the training part to the test part.

Population stability index over bins of the training part (Siddiqi, "Credit Risk Scorecards", 2006: below 0.1 stable, above 0.25
a large shift; a shift within what chance gives for so few rows is none) and, for numbers, the two-sample Kolmogorov–Smirnov
distance.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from shopkit.drift import LARGE, MODERATE, by_chance, population_stability
from shopkit.evaluation.part import Raw
from shopkit.raw import distinct_texts
from shopkit.schema import MISSING_TIME

N_BINS = 10
N_CATEGORIES = 20
FREE_TEXT, FREE_TEXT_ROWS = 0.5, 100
"""Texts of which more than this share are distinct, in so many rows at least, are compared by their length."""


def drift(train: Raw, test: Raw, groups: np.ndarray | None = None) -> list[dict[str, Any]]:
    """The entry `drift` of `evaluate`: columns of both parts, the most drifted first.

    Args:
        groups: of the test rows, (N,). A text that names them, and that the split so keeps out of the training part, is compared
            by its length.
    """
    both = [name for name in train if name in test and len(train[name]) and len(test[name])]
    found = [_column(name, train[name], test[name], groups) for name in both]
    return sorted(found, key=lambda entry: (-entry["psi"], entry["column"]))


def _column(name: str, train: np.ndarray, test: np.ndarray, groups: np.ndarray | None) -> dict[str, Any]:
    ks = unseen = None
    kind = {"O": "string", "U": "string", "T": "string", "i": "time"}.get(train.dtype.kind, "number")
    if kind == "string" and (_is_free_text(train) or (groups is not None and _is_kept_apart(train, test, groups))):
        kind, train, test = "text", _lengths(train), _lengths(test)
    if kind == "string":
        missing_train, missing_test = train == "", test == ""
        # From here on texts are their places in order.
        both = distinct_texts(np.concatenate([train, test]))[1]
        train, test = both[: len(train)], both[len(train) :]
        names, counts = np.unique(train, return_counts=True)
        frequent = names[np.argsort(-counts, kind="stable")[:N_CATEGORIES]]
        known = np.isin(test, names)
        unseen = float(np.mean(~known & ~missing_test))
        edges = np.sort(frequent)
        bins_train, bins_test = (_category_bins(values, edges) for values in (train, test))
        bins_test[~known] = len(edges) + 1
        n_bins = len(edges) + 2
    else:
        missing_train, missing_test = _missing(train), _missing(test)
        known_train, known_test = np.sort(train[~missing_train]), np.sort(test[~missing_test])
        quantiles = np.linspace(0, 1, N_BINS + 1)[1:-1]
        edges = np.unique(np.quantile(known_train, quantiles)) if len(known_train) else np.zeros(0)
        n_bins = len(edges) + 2
        bins_train = np.where(missing_train, n_bins - 1, np.searchsorted(edges, train, side="right"))
        bins_test = np.where(missing_test, n_bins - 1, np.searchsorted(edges, test, side="right"))
        ks = kolmogorov_smirnov(known_train, known_test)
    histograms = np.bincount(bins_train, minlength=n_bins), np.bincount(bins_test, minlength=n_bins)
    psi = population_stability(*histograms)
    shifted = psi >= MODERATE and psi > by_chance(*histograms)
    level: Literal["none", "moderate", "large"] = "none" if not shifted else "moderate" if psi < LARGE else "large"
    return {
        "column": name,
        "kind": kind,
        "psi": psi,
        "ks": ks,
        "missing_train": float(missing_train.mean()),
        "missing_test": float(missing_test.mean()),
        "unseen": unseen,
        "level": level,
    }


def _is_free_text(values: np.ndarray) -> bool:
    """Hardly two rows have the same: what the test part has is always unseen, and only its length can be compared."""
    present = values[values != ""]
    return len(present) >= FREE_TEXT_ROWS and len(distinct_texts(present)[0]) > FREE_TEXT * len(present)


def _is_kept_apart(train: np.ndarray, test: np.ndarray, groups: np.ndarray) -> bool:
    """It names the groups of the test part, a text each, and none of them is in the training part: so they were split."""
    texts, codes = distinct_texts(test)
    if np.isin(texts, distinct_texts(train)[0]).any():
        return False
    pairs = np.unique(np.stack([codes, np.unique(groups, return_inverse=True)[1]]), axis=1).shape[1]
    return bool(pairs == len(texts) == len(np.unique(groups)))


def _lengths(texts: np.ndarray) -> np.ndarray:
    return np.array([len(text) or np.nan for text in texts], np.float64)


def _category_bins(values: np.ndarray, frequent: np.ndarray) -> np.ndarray:
    """Index among the sorted frequent categories; len(frequent) for all others."""
    index = np.minimum(np.searchsorted(frequent, values), len(frequent) - 1)
    return np.asarray(np.where(frequent[index] == values, index, len(frequent)))


def _missing(values: np.ndarray) -> np.ndarray:
    return np.asarray(values == MISSING_TIME if values.dtype.kind == "i" else np.isnan(values))


def kolmogorov_smirnov(first: np.ndarray, second: np.ndarray) -> float | None:
    """Largest distance of two empirical distributions, from sorted samples; None when one is empty."""
    if len(first) == 0 or len(second) == 0:
        return None
    points = np.concatenate([first, second])
    below = np.searchsorted(first, points, side="right") / len(first) - np.searchsorted(second, points, side="right") / len(
        second
    )
    return float(np.abs(below).max())
