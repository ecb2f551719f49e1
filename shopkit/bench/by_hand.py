"""The pre-processing that a person would write in pandas for the features of a run, to stand beside the graph.

It is fitted by pandas on the training rows. Numbers may differ a little from the run's own (edges that look at the target, for
one): this is about time, and the arrays are of the same shapes and kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from shopkit.bench.clock import CannotError
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.schema import MISSING_TIME

Settings = Mapping[str, Any]
Encode = Callable[[pd.Series], np.ndarray]
"""(N,) → (N, width)."""
Learn = Callable[[pd.Series, FeatureBlock, Settings], Encode]
"""Training values, the block they become, its settings → what encodes a column."""

MISSING_ID, UNKNOWN_ID, FIRST_ID = 0, 1, 2


def by_hand(
    spec: FeatureSpec, columns: Sequence[Settings], train: pd.DataFrame, vocabularies: Mapping[str, Sequence[str]], folder: Path
) -> Callable[[pd.DataFrame], dict[str, np.ndarray]]:
    """A function from raw rows to the arrays of `spec.shapes`.

    Args:
        columns: `column`, `extractor` and its settings, a row for each, as the run recorded them.
        train: raw training rows.
        vocabularies: column → categories in the order of their ids.
        folder: of the run, where a tokenizer may stand.

    Raises:
        CannotError: an extractor that no one would write in pandas.
    """
    described = {(row["column"], row["extractor"]): row["settings"] for row in columns}
    parts: dict[str, list[Callable[[pd.DataFrame], np.ndarray]]] = {}
    of_steps: dict[str, list[tuple[str, Encode]]] = {}
    text: Callable[[pd.DataFrame], dict[str, np.ndarray]] | None = None
    together = [block for block in spec.blocks if _is_plain(block)]
    for block in spec.blocks:
        if block in together:
            # All at once, as a person would: column by column takes eleven times as long for eleven columns.
            if block is together[0]:
                parts.setdefault("dense", []).append(_standardized([one.column for one in together], train))
            continue
        settings = described.get((block.column, block.extractor), {})
        if block.extractor == "wordpiece":
            names = [name for name, extractor in described if extractor == "wordpiece"]
            text = _tokenizer(folder / "tokenizer.json", names, block)
            continue
        if block.extractor not in FITS:
            raise CannotError(f"no one would write {block.extractor} in pandas")
        values = train[block.column]
        is_sequence = block.tensor.startswith("sequence_")
        steps = pd.Series(np.concatenate(values.to_list())) if is_sequence else values
        encode = FITS[block.extractor](steps, block, {**settings, "vocabulary": vocabularies.get(block.column, ())})
        if is_sequence:
            of_steps.setdefault(block.tensor, []).append((block.column, encode))
        else:
            parts.setdefault(block.tensor, []).append(_of_column(block.column, encode))

    def arrays(frame: pd.DataFrame) -> dict[str, np.ndarray]:
        found = text(frame) if text is not None else {}
        for tensor, encodings in of_steps.items():
            found |= _padded(frame, tensor, encodings)
        return found | {tensor: np.concatenate([encode(frame) for encode in of], axis=1) for tensor, of in parts.items()}

    return arrays


def _is_plain(block: FeatureBlock) -> bool:
    return block.extractor == "standardize" and block.tensor == "dense" and not _indicator(block)


def _standardized(names: list[str], train: pd.DataFrame) -> Callable[[pd.DataFrame], np.ndarray]:
    means = train[names].mean()
    scales = train[names].std(ddof=0).replace(0, 1)
    return lambda frame: ((frame[names] - means) / scales).fillna(0).to_numpy(np.float32)


def _of_column(name: str, encode: Encode) -> Callable[[pd.DataFrame], np.ndarray]:
    return lambda frame: encode(frame[name])


def _padded(frame: pd.DataFrame, tensor: str, encodings: Sequence[tuple[str, Encode]]) -> dict[str, np.ndarray]:
    rows = frame[encodings[0][0]].to_list()
    lengths = np.array([len(row) for row in rows])
    steps = [encode(pd.Series(np.concatenate(frame[name].to_list()))) for name, encode in encodings]
    flat = np.concatenate(steps, axis=1)
    padded = np.zeros((len(rows), max(1, lengths.max()), flat.shape[1]), flat.dtype)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = flat
    return {tensor: padded, "lengths": lengths}


def _tokenizer(path: Path, names: Sequence[str], block: FeatureBlock) -> Callable[[pd.DataFrame], dict[str, np.ndarray]]:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise CannotError("the package tokenizers is not installed") from error
    if not path.is_file() or len(names) > 1:
        raise CannotError("there is no tokenizer.json for one column of text")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(block.shape[0] if block.shape else 512)
    tokenizer.enable_padding(pad_id=0)

    def arrays(frame: pd.DataFrame) -> dict[str, np.ndarray]:
        encoded = tokenizer.encode_batch(frame[names[0]].to_list())
        lengths = np.array([sum(encoding.attention_mask) for encoding in encoded])
        return {"tokens": np.array([encoding.ids for encoding in encoded]), "token_lengths": lengths}

    return arrays


# -- one extractor each: training values → what encodes a column ---------------------------------------------------------


def _indicator(block: FeatureBlock) -> bool:
    return block.width == 1 and block.names[:1] == (f"{block.column} is missing",) and block.extractor != "one_hot"


def _is_missing(x: pd.Series) -> np.ndarray:
    return np.asarray(x.isna(), np.float32)[:, None]


def _number(learn: Learn) -> Learn:
    """With an indicator block of its own where the run has one."""
    return lambda train, block, settings: _is_missing if _indicator(block) else learn(train, block, settings)


def _one(x: pd.Series) -> np.ndarray:
    return np.asarray(x, np.float32)[:, None]


def _standardize(train: pd.Series, block: FeatureBlock, settings: Settings) -> Encode:
    mean, scale = train.mean(), train.std(ddof=0) or 1.0
    return lambda x: _one(((x - mean) / scale).fillna(0))


def _log1p(train: pd.Series, block: FeatureBlock, settings: Settings) -> Encode:
    def logs(x: pd.Series) -> pd.Series:
        return np.sign(x) * np.log1p(x.abs())

    mean, scale = logs(train).mean(), logs(train).std(ddof=0) or 1.0
    return lambda x: _one(((logs(x) - mean) / scale).fillna(0))


def _identity(train: pd.Series, block: FeatureBlock, settings: Settings) -> Encode:
    return _one if settings.get("missing") == "keep" else lambda x: _one(x.fillna(0))


def _impute(train: pd.Series, block: FeatureBlock, settings: Settings) -> Encode:
    fill = {"mean": train.mean(), "median": train.median()}.get(str(settings.get("strategy")), settings.get("value", 0.0))
    return lambda x: _one(x.fillna(fill))


def _quantile(train: pd.Series, block: FeatureBlock, settings: Settings) -> Encode:
    ranks = np.linspace(0, 1, int(settings.get("n_quantiles", 100)))
    knots = train.quantile(ranks).to_numpy()
    normal = settings.get("output", "normal") == "normal"
    scores = np.array([NormalDist().inv_cdf(rank) for rank in np.clip(ranks, 1e-7, 1 - 1e-7)]) if normal else ranks
    return lambda x: np.nan_to_num(np.interp(x.to_numpy(), knots, scores)).astype(np.float32)[:, None]


def _piecewise_linear(train: pd.Series, block: FeatureBlock, settings: Settings) -> Encode:
    ranks = np.linspace(0, 1, block.width + 1)
    edges = train.quantile(ranks).to_numpy() + ranks  # apart, where many values are equal
    low, inverse = edges[:-1].astype(np.float32), (1 / np.diff(edges)).astype(np.float32)
    return lambda x: np.nan_to_num(np.clip((x.to_numpy(np.float32)[:, None] - low) * inverse, 0, 1))


def _bucketize(train: pd.Series, block: FeatureBlock, settings: Settings) -> Encode:
    n_bins = block.cardinality - FIRST_ID if block.tensor.endswith("ids") else block.width
    edges = train.quantile(np.linspace(0, 1, n_bins + 1)[1:-1]).to_numpy()
    if block.tensor.endswith("ids"):
        return lambda x: np.where(x.isna(), MISSING_ID, np.searchsorted(edges, x, "right") + FIRST_ID)[:, None]
    spread = np.eye(n_bins, dtype=np.float32)
    return lambda x: spread[np.searchsorted(edges, x, "right")] * x.notna().to_numpy(np.float32)[:, None]


def _one_hot(train: pd.Series, block: FeatureBlock, settings: Settings) -> Encode:
    known = pd.Index([name.removeprefix(f"{block.column}=") if "=" in name else "" for name in block.names], dtype=object)
    spread = np.eye(len(known) + 1, len(known), dtype=np.float32)  # the last row is all zeros, where −1 points
    return lambda x: spread[known.get_indexer(x)]


def _vocabulary(train: pd.Series, block: FeatureBlock, settings: Settings) -> Encode:
    known = pd.Index(["", *settings["vocabulary"]], dtype=object)
    ids = np.array([MISSING_ID, *range(FIRST_ID, FIRST_ID + len(known) - 1), UNKNOWN_ID])  # unknown comes last, where −1 points
    return lambda x: np.asarray(ids[known.get_indexer(x)])[:, None]


def _time_parts(train: pd.Series, block: FeatureBlock, settings: Settings) -> Encode:
    if _indicator(block):
        return lambda x: (x == MISSING_TIME).to_numpy(np.float32)[:, None]
    known = train[train != MISSING_TIME]
    mean, scale = known.mean(), known.std(ddof=0) or 1.0
    part = block.names[0].removeprefix(f"{block.column} ").removesuffix(" sine")

    def encode(x: pd.Series) -> np.ndarray:
        if part == "elapsed":
            return _one(((x - mean) / scale).where(x != MISSING_TIME, 0))
        times = pd.to_datetime(x.where(x != MISSING_TIME), unit="s").dt
        turns = {
            "hour": lambda: (times.hour + times.minute / 60) / 24,
            "weekday": lambda: (times.day_of_week + times.hour / 24) / 7,
            "day_of_month": lambda: (times.day - 1) / 31,
            "day_of_year": lambda: times.day_of_year / 365.25,
        }[part]()
        angle = 2 * np.pi * turns.to_numpy()
        return np.asarray(np.nan_to_num(np.column_stack([np.sin(angle), np.cos(angle)])), np.float32)

    return encode


FITS: dict[str, Learn] = {
    "standardize": _number(_standardize),
    "log1p": _number(_log1p),
    "identity": _number(_identity),
    "impute": _number(_impute),
    "quantile": _number(_quantile),
    "piecewise_linear": _number(_piecewise_linear),
    "bucketize": _bucketize,
    "one_hot": _one_hot,
    "vocabulary": _vocabulary,
    "time_parts": _time_parts,
}
