"""One small run of each family, and rows to ask its file: plain JSON, as a person would send it.

Among the rows are missing values, categories that no training row has, Chinese, histories of several lengths and images of
several sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import shopkit
from shopkit.runs import Run
from tests.data import visits
from tests.shop import QUICK

PLAIN = ["evaluation.baselines=[]", "evaluation.permutation_repeats=0", "evaluation.latency_batch_sizes=[1]", *QUICK]
TABLE = ["view=table", "split=stratified", *PLAIN]

Row = dict[str, Any]


@dataclass(frozen=True)
class Family:
    """What one run is made from, and what its file is asked."""

    overrides: Sequence[str]
    rows: Sequence[Row]
    data: Any = None
    experiment: str | None = None
    options: Sequence[dict[str, Any]] = field(default=({},))
    """What else the file is asked for, each for all rows."""


def train(family: Family, folder: Path, exports: Sequence[str]) -> Run:
    more = [f"exports=[{','.join(exports)}]"] if exports else []
    return shopkit.run(family.experiment, [*family.overrides, *more], data=family.data, folder=folder)


def tabular(folder: Path) -> Family:
    table = visits(300)
    table["channel"] = table["channel"].replace({"mail": "邮件", "direct": 'it\'s "direct"'})
    rows = [
        {"at": "2024-03-05T12:30:00", "pages": 6, "seconds": 61.5, "channel": "search", "browser": 3, "is_weekend": True},
        {"at": "2024-04-01T00:00:01", "pages": 2, "seconds": None, "channel": "邮件", "browser": 1, "is_weekend": False},
        {"at": None, "pages": None, "seconds": None, "channel": None, "browser": None, "is_weekend": None},
        {"at": "2030-12-31T23:59:59", "pages": 1e6, "seconds": -3, "channel": "没见过 ☃", "browser": 77, "is_weekend": True},
        {"at": "1969-07-20T20:17:40", "pages": 0, "seconds": 0, "channel": 'it\'s "direct"', "browser": 5, "is_weekend": False},
    ]
    return Family(["view.target=bought", "view.keys=[visit_id]", *TABLE], rows, table)


def sequence(folder: Path) -> Family:
    """What was looked at; bought if that ends with tea, or is dear."""
    rng = np.random.default_rng(0)
    items, prices, bought = [], [], []
    for length in rng.integers(0, 6, 240):
        seen = rng.choice(np.array(["绿茶", "milk", "bread", None], object), length).tolist()
        cost = rng.gamma(2.0, 5.0, length).round(2).tolist()
        items.append(seen)
        prices.append(cost)
        bought.append("yes" if (seen and seen[-1] == "绿茶") or sum(cost) > 50 else "no")
    table = pd.DataFrame({"items": items, "prices": prices, "channel": rng.choice(["mail", "search"], 240), "bought": bought})
    rows = [
        {"items": ["milk", "绿茶"], "prices": [3.5, 12], "channel": "mail"},
        {"items": [], "prices": [], "channel": "search"},
        {"items": ["bread", None, "never seen", "milk"], "prices": [1, None, 1e4, 0.5], "channel": None},
        {"items": ["milk"] * 9, "prices": [2] * 9, "channel": "new ☃"},
    ]
    return Family(["view.target=bought", "model=lstm", "model.hidden_dim=8", *TABLE], rows, table)


REVIEWS = ("质量很好，喜欢", "很满意！下次再来", "love this dress", "太差了，退货", "尺码不对，失望", "returned it: too small")


def _reviews() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    good = rng.integers(0, 2, 240)
    texts = [" ".join(np.array(REVIEWS)[rng.integers(0, 3, 2) + (0 if is_good else 3)]) for is_good in good]
    return pd.DataFrame({"review": texts, "age": rng.normal(40, 9, 240).round(), "kept": np.where(good, "yes", "no")})


_TEXT_ROWS = [
    {"review": "质量很好，love this dress", "age": 33},
    {"review": "Returned IT: 太差了!!", "age": None},
    {"review": "没有认识的字 🛒🛒 ﬁancé Ünïcode", "age": 51},
    {"review": None, "age": 20},
    {"review": "质量" * 60, "age": 44},
]


def text_terms(folder: Path) -> Family:
    extractor = "features.columns.review={name: tfidf, analyzer: char, ngram_range: [1, 2]}"
    return Family(["view.target=kept", "model=linear", extractor, *TABLE], _TEXT_ROWS, _reviews())


def text_pieces(folder: Path) -> Family:
    overrides = [
        "view.target=kept", "model=bert", "model.encoder=scratch", "model.layers=1", "model.hidden_dim=16", "model.heads=2",
        "trainer.batch_size=32", "trainer.lr=1e-2",
        "features.columns.review=[{name: wordpiece, vocabulary: scratch, max_length: 24}, {name: tfidf, analyzer: char}]",
    ]  # fmt: skip
    return Family([*overrides, *TABLE], _TEXT_ROWS, _reviews())


_HISTORIES = [
    {"history": ["103", "104", "105"]},
    {"history": [107, 108]},
    {"history": []},
    {"history": ["no such item", None, "110"]},
    {"history": ["104"] * 12},
]


def _recommendation(*overrides: str) -> Family:
    rng = np.random.default_rng(0)
    rows = []
    for length in rng.integers(4, 9, 120):
        steps = np.where(rng.random(length) < 0.15, rng.integers(0, 12, length), 1)
        rows.append((101 + (rng.integers(0, 12) + np.cumsum(steps)) % 12).tolist())
    table = pd.DataFrame({"items": rows})
    options = ({}, {"k": 3}, {"k": 4, "candidates": ["110", "103", "107", "没有"]})
    return Family([*overrides, *PLAIN], _HISTORIES, {"data": table}, "next_item_sequences", options)


def neighbours(folder: Path) -> Family:
    return _recommendation("model=item_knn")


def transformer(folder: Path) -> Family:
    return _recommendation("model=sasrec", "model.dim=16")


def image(folder: Path) -> Family:
    """Stripes across or along."""
    rng = np.random.default_rng(0)

    def drawing(kind: str, height: int = 16, width: int = 16) -> np.ndarray:
        y, x = np.mgrid[:height, :width]
        striped = (y if kind == "across" else x) % 4 < 2
        return np.clip(np.where(striped, 200, 40) + rng.normal(0, 15, (height, width)), 0, 255).astype(np.uint8)

    for kind in ("across", "along"):
        (folder / kind).mkdir(parents=True)
        for i in range(40):
            Image.fromarray(drawing(kind)).save(folder / kind / f"{i}.png")
    overrides = [
        "source=image_folder", f"source.path={folder}", "source.channels=1", "view.keys=[file]", "split=stratified",
        "model.widths=[16]", "model.stem=8", "trainer.batch_size=16", "trainer.lr=1e-2", "trainer.ema_decay=0.5",
        "evaluation.cases=0", *PLAIN,
    ]  # fmt: skip
    sizes = (("across", 16, 16), ("along", 16, 16), ("along", 40, 21), ("across", 1, 1))
    return Family(overrides, [{"image": drawing(*size)[:, :, None].tolist()} for size in sizes], experiment="product_image")


FAMILIES = {made.__name__: made for made in (tabular, sequence, text_terms, text_pieces, neighbours, transformer, image)}
EVERY = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in FAMILIES]
"""All of them as parameters; tests of one family go to one worker, which trains it once."""
