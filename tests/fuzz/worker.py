"""Feeds broken content to one way in, for some seconds: python -m tests.fuzz.worker artifact|description|csv SECONDS FIRST_SEED

Each seed makes one case. The seed at work stands in the file `seed`, so that a crash of native code can be told; anything raised
that is not a message of shopkit's ends the process with its traceback.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from shopkit.errors import ShopkitError

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("v*/*.onnx"))
TABLE = b"""id,at,price,name,flag
1,2024-01-01 10:00:00,1.5,"a, b",true
2,2024-01-02T11:30:00Z,,"line
break",false
3,,1e3,NA,
4,2024-02-30,-0,"quo""te",True
"""
PIECES = (
    *(b"", b"\0", b"\xff", b"\xff\xff\xff\xff\x0f", b'"', b",", b"\n", b"\r", b"\xef\xbb\xbf"),
    *(b"nan", b"1e999", b"-" * 40, b"\x80\x05"),
)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A few of: a bit turned, a byte or piece put in, a stretch cut, doubled or moved, the end cut off."""
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at, other = (chance.randrange(len(content) + 1) for _ in range(2))
        start, stop = min(at, other), min(max(at, other), min(at, other) + chance.choice((1, 8, 200)))
        kind = chance.randrange(7)
        if kind == 0 and at < len(content):
            content[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(content):
            content[at] = chance.randrange(256)
        elif kind == 2:
            content[at:at] = chance.choice(PIECES)
        elif kind == 3:
            del content[start:stop]
        elif kind == 4:
            content[at:at] = content[start:stop]
        elif kind == 5:
            piece = content[start:stop]
            del content[start:stop]
            at = chance.randrange(len(content) + 1)
            content[at:at] = piece
        elif chance.random() < 0.2:
            del content[at:]
    return bytes(content)


def altered(data: bytes, chance: random.Random) -> bytes:
    """JSON with a few values put elsewhere, left out, doubled, or replaced by others."""
    root = [json.loads(data)]
    for _ in range(chance.choice((1, 1, 2, 4))):
        inner: Any = root
        while True:
            places = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            at = chance.choice(places)
            if not (isinstance(inner[at], (dict, list)) and inner[at]) or (inner is not root and chance.random() < 0.2):
                break
            inner = inner[at]
        kind = chance.randrange(4)
        if kind == 0:
            inner[at] = chance.choice(VALUES)
        elif kind == 1:
            inner[at] = inner[chance.choice(places)]
        elif inner is root:
            continue
        elif kind == 2:
            del inner[at]
        elif isinstance(inner, list):
            inner.append(inner[at])
        else:
            inner[chance.choice(NAMES)] = inner[at]
        if not root[0]:
            break
    return json.dumps(root[0]).encode()


VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**70, 1.5, float("nan"), float("inf"), "", "x", "label", "../x", "\ud800", [], {}, [[]], [None]),
    *("number", "string", "time", "image", "feature", "key", "Europe/Berlin"),
)
NAMES = ("unit", "channels", "sequence", "double", "integer", "classes", "per", "lengths", "block_rows", "options", "x")


def description(content: bytes, folder: Path) -> None:
    """Sound graphs that say of themselves what the content is: one that is loaded answers, and tells drift."""
    from shopkit.bench.rows import made
    from shopkit.drift import DriftMonitor
    from shopkit.runtime import Predictor

    refused: list[ShopkitError] = []
    for golden in GOLDEN:
        model = onnx.load_from_string(golden.read_bytes())
        model.metadata_props[0].value = content.decode(errors="replace")
        path = folder / "model.onnx"
        path.write_bytes(model.SerializeToString())
        try:
            predictor = Predictor(path)
            monitor = DriftMonitor.of(predictor.description, path)
        except ShopkitError as error:
            refused.append(error)
            continue
        rows = made(predictor).take(3)
        predictor.table(predictor.answer(rows))
        predictor({name: values[0] for name, values in rows.items()})
        if monitor is not None:
            monitor.update(rows)
            monitor.report()
    if len(refused) == len(GOLDEN):
        raise refused[0]


def said(path: Path) -> bytes:
    """What a golden file says of itself, and the statistics that files have carried since."""
    from shopkit.bench.rows import made
    from shopkit.drift import METADATA, training_statistics
    from shopkit.runtime import Predictor

    predictor = Predictor(path)
    statistics = training_statistics(predictor.schema, made(predictor).raw.__getitem__)
    return json.dumps(predictor.description.facts | {METADATA: statistics}).encode()


def artifact(content: bytes, folder: Path) -> None:
    from shopkit.runtime import Predictor

    path = folder / "model.onnx"
    path.write_bytes(content)
    Predictor(path)


def csv(content: bytes, folder: Path) -> None:
    """A table on its way to examples; which column is the target, its own bytes say."""
    from shopkit.sources.files import FilesSource
    from shopkit.sources.settings import FilesSettings
    from shopkit.views.materialise import materialise
    from shopkit.views.settings import TableSettings
    from shopkit.views.table import TableView

    path = folder / "table.csv"
    path.write_bytes(content)
    tables = FilesSource(FilesSettings(path=str(path))).open()
    names = list(tables["data"].columns)
    target = names[sum(content) % len(names)]
    materialise(TableView(TableSettings(target=target)).examples(tables), {}, folder / "examples.parquet")


@dataclass(frozen=True)
class Way:
    """One way in, and sound content for it."""

    take: Callable[[bytes, Path], None]
    sound: list[bytes]
    broken: Callable[[bytes, random.Random], bytes] = mutated


WAYS = {
    "artifact": Way(artifact, [path.read_bytes() for path in GOLDEN]),
    "description": Way(description, [said(path) for path in GOLDEN], altered),
    "csv": Way(csv, [TABLE]),
}


def case(way: Way, seed: int, folder: Path) -> None:
    """Take the broken content that this seed makes."""
    chance = random.Random(seed)
    way.take(way.broken(chance.choice(way.sound), chance), folder)


def main(way: str, seconds: float, seed: int, folder: Path) -> None:
    deadline = time.monotonic() + seconds
    n_cases = n_refused = 0
    while time.monotonic() < deadline:
        (folder / "seed").write_text(str(seed))
        try:
            case(WAYS[way], seed, folder)
        except ShopkitError:
            n_refused += 1
        seed, n_cases = seed + 1, n_cases + 1
    print(f"{way}: {n_cases} cases, {n_refused} refused")


if __name__ == "__main__":
    if len(sys.argv) == 5:
        main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(scratch))
