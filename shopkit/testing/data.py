"""Small generated data for the checks: raw columns with every kind of trouble, targets, and features as models see them."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from shopkit.errors import ShopkitError
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.base import Arrays
from shopkit.runtime.images import as_column, missing_image
from shopkit.schema import MISSING_TIME, Kind
from shopkit.tasks.base import Task
from shopkit.testing.subject import Subject

N_ROWS = 400
MOST_STEPS = 6
IMAGE_SHAPE = (12, 10, 3)
"""Height, width and channels of the images of `raw_column`."""
CATEGORIES = ("red", "green", "blue", "bleu pâle", "Red", "a b", "0", "nan")
UNSEEN = "☃ never seen"


def raw_column(kind: Kind, rng: np.random.Generator, n_rows: int = N_ROWS) -> np.ndarray:
    """(n_rows,) canonical values of a kind, about a tenth of them missing."""
    gone = rng.random(n_rows) < 0.1
    if kind == "string":
        shares = np.linspace(1, 4, len(CATEGORIES))
        values = rng.choice(np.array(CATEGORIES, object), n_rows, p=shares / shares.sum())
        values[gone] = ""
        return values
    if kind == "image":
        levels = rng.integers(0, 256, (n_rows, *IMAGE_SHAPE)).astype(np.uint8)
        return as_column(missing_image(IMAGE_SHAPE[2]) if gone[i] else levels[i] for i in range(n_rows))
    if kind == "time":
        start, year = 1_700_000_000, 365 * 86_400
        return np.where(gone, MISSING_TIME, start + rng.integers(0, year, n_rows)).astype(np.int64)
    values = np.where(rng.random(n_rows) < 0.2, 0, rng.lognormal(1, 1, n_rows) - 1).round(3)
    return np.where(gone, np.nan, values).astype(np.float32)


def missing_of(kind: Kind, n_rows: int) -> np.ndarray:
    """(n_rows,) missing values of a kind."""
    if kind == "string":
        return np.full(n_rows, "", object)
    if kind == "image":
        return as_column([missing_image(IMAGE_SHAPE[2])] * n_rows)
    return np.full(n_rows, MISSING_TIME, np.int64) if kind == "time" else np.full(n_rows, np.nan, np.float32)


def unseen_of(kind: Kind) -> np.ndarray:
    """Values of a kind that no training row of `raw_column` has."""
    if kind == "string":
        return np.array([UNSEEN, " ", "RED", "red ", "missing"], object)
    if kind == "image":
        shapes = ((24, 20), (7, 31), (1, 9), (3, 2))
        lines = (np.arange(height * width * IMAGE_SHAPE[2]) * 37 for height, width in shapes)
        return as_column((line % 256).astype(np.uint8).reshape(*s, -1) for line, s in zip(lines, shapes, strict=True))
    if kind == "time":
        return np.array([0, -86_400, 951_782_400, 4_102_444_799], np.int64)  # the epoch, before it, a leap day, 2099
    return np.array([-1e6, -0.0, 1e-30, 1e6], np.float32)


def target_of(subject: Subject, task: Task, n_rows: int = N_ROWS) -> np.ndarray:
    """A raw target (n_rows,) that fits the task, which is fitted to it: its own example, or the first of three classes, two
    classes and amounts that it accepts."""
    rng, refusals = subject.rng, []
    own = task.example_target(rng, n_rows)
    offered = (
        [own]
        if own is not None
        else [
            rng.choice(np.array(["a", "b", "c"], object), n_rows, p=[0.5, 0.3, 0.2]),
            rng.choice(np.array(["no", "yes"], object), n_rows, p=[0.7, 0.3]),
            np.round(rng.gamma(2.0, 10.0, n_rows), 2),
        ]
    )
    for values in offered:
        try:
            task.fit_target(values)
        except ShopkitError as error:
            refusals.append(str(error))
        else:
            return values
    return subject.fail(
        "`fit_target` takes none of the example targets; override `example_target`. It said: " + " | ".join(refusals)
    )


def groups_of(n_rows: int) -> np.ndarray:
    """int64 (n_rows,): groups of about ten rows, one row of each in turn."""
    return np.arange(n_rows) % max(1, n_rows // 10)


def feature_spec(dense: bool = True, ids: bool = True, reads: Collection[str] = (), n_classes: int = 0) -> FeatureSpec:
    """Three numbers, one of them four positions wide, and two categories; and of what a model of the tags `reads` also takes: of
    sequences a number and two categories, the tokens of a text, the terms of two bags, a small image. Of a model that
    `features:catalogue` reads, one sequence holds the target's classes."""
    blocks = []
    if dense:
        blocks += [
            FeatureBlock("pages", "standardize", "dense", 0, 1, ("pages",)),
            FeatureBlock("price", "standardize", "dense", 1, 1, ("price",)),
            FeatureBlock("age", "piecewise_linear", "dense", 2, 4, tuple(f"age {bin}" for bin in range(4))),
        ]
    if ids:
        blocks += [
            FeatureBlock("channel", "vocabulary", "ids", 0, 1, ("channel",), cardinality=6),
            FeatureBlock("browser", "vocabulary", "ids", 1, 1, ("browser",), cardinality=12),
        ]
    if "features:sequences" in reads:
        extractor, n_items = ("catalogue", n_classes + 2) if n_classes and "features:catalogue" in reads else ("vocabulary", 9)
        blocks += [
            FeatureBlock("past_spend", "log1p", "sequence_dense", 0, 1, ("past_spend",)),
            FeatureBlock("past_item", extractor, "sequence_ids", 0, 1, ("past_item",), n_items, rest=extractor == "catalogue"),
            FeatureBlock("past_shop", "vocabulary", "sequence_ids", 1, 1, ("past_shop",), cardinality=4),
        ]
    if "features:tokens" in reads:
        blocks.append(FeatureBlock("review", "wordpiece", "tokens", 0, 1, (), cardinality=30))
    if "features:bags" in reads:
        blocks += [
            FeatureBlock("title", "tfidf", "bag", 0, 12, tuple(f"term {term}" for term in range(12))),
            FeatureBlock("review", "tfidf", "bag", 12, 20, tuple(f"word {term}" for term in range(20))),
        ]
    if "features:images" in reads:
        blocks.append(FeatureBlock("photo", "image", "image", 0, 1, (), shape=(3, 16, 16)))
    return FeatureSpec(tuple(blocks))


def arrays(subject: Subject, spec: FeatureSpec, task: Task, n_rows: int = N_ROWS) -> Arrays:
    """Features (N, …) from which the target, fitted and encoded by the task, can be learnt: rows are sorted by the sum of the
    features, and the targets with them."""
    raw = target_of(subject, task, n_rows)
    target = task.encode(raw)
    rng = np.random.default_rng(subject.seed + 1)
    features: dict[str, np.ndarray] = {}
    signal = np.zeros(n_rows)
    if spec.n_dense:
        features["dense"] = rng.normal(size=(n_rows, spec.n_dense)).astype(np.float32)
        signal += features["dense"].sum(axis=1)
    if spec.n_ids:
        features["ids"] = np.column_stack([rng.integers(0, size, n_rows) for size in spec.cardinalities]).astype(np.int64)
        signal += features["ids"].sum(axis=1)
    if spec.has_sequences:
        features |= steps(spec, rng.integers(0, MOST_STEPS + 1, n_rows), rng)
        signal += features["sequence_dense"].sum(axis=(1, 2))
    if spec.tokens is not None:
        features |= tokens(spec.tokens.cardinality, rng.integers(0, MOST_STEPS + 1, n_rows), rng)
        signal += (features["tokens"] == 3).sum(axis=1)
    if spec.n_bag:
        features |= bag(spec.n_bag, rng.integers(0, MOST_STEPS + 1, n_rows), rng)
        signal += (features["bag_weights"] * (features["bag_ids"] % 3 - 1)).sum(axis=1)
    if spec.image is not None:
        levels = rng.integers(60, 200, (n_rows, 1, 1, 1))
        noise = rng.integers(-50, 50, (n_rows, *spec.image.shape))
        features["image"] = (levels + noise).astype(np.uint8)
        signal += features["image"].mean(axis=(1, 2, 3)) / 50
    place = np.argsort(np.argsort(signal))
    learnable = Arrays(features, np.sort(target)[place], groups=groups_of(n_rows))
    if "features:codes" in subject.tags and spec.n_dense:
        features["dense"][rng.random(features["dense"].shape) < 0.05] = np.nan
    return learnable


def steps(spec: FeatureSpec, lengths: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The tensors of sequences for rows of these lengths, 0 beyond them."""
    shape = (len(lengths), max(1, int(lengths.max())))
    inside = np.arange(shape[1]) < lengths[:, None]
    ids = [np.where(inside, rng.integers(0, size, shape), 0) for size in spec.sequence_cardinalities]
    numbers = np.where(inside[..., None], rng.normal(size=(*shape, spec.widths["sequence_dense"])), 0)
    found = {"sequence_dense": numbers.astype(np.float32), "sequence_ids": np.stack(ids, axis=2), "lengths": lengths}
    if spec.rest:
        found["rest_ids"] = np.stack([rng.integers(0, block.cardinality, shape) for block in spec.rest], axis=2)
    return found


def tokens(n_tokens: int, lengths: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Token ids for rows of these lengths, 0 beyond them."""
    inside = np.arange(max(1, int(lengths.max()))) < lengths[:, None]
    return {"tokens": np.where(inside, rng.integers(1, n_tokens, inside.shape), 0), "token_lengths": lengths}


def bag(n_terms: int, lengths: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """So many distinct terms for each row, of weights that square to 1 together."""
    inside = np.arange(max(1, int(lengths.max()))) < lengths[:, None]
    ids = np.argsort(rng.random((len(lengths), n_terms)), axis=1)[:, : inside.shape[1]]
    weights = np.where(inside, rng.random(inside.shape) + 0.1, 0)
    norm = np.sqrt((weights**2).sum(axis=1, keepdims=True))
    weights = np.divide(weights, norm, out=np.zeros_like(weights), where=norm > 0)
    return {"bag_ids": np.where(inside, ids, 0), "bag_weights": weights.astype(np.float32)}


def rows_of(part: Arrays, rows: slice) -> Arrays:
    """Some rows of a part."""
    features = {name: values[rows] for name, values in part.features.items()}
    weight, groups, times = (None if beside is None else beside[rows] for beside in (part.weight, part.groups, part.times))
    return Arrays(features, part.target[rows], weight, groups, times)
