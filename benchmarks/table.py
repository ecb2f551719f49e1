"""`benchmarks/README.md`, made of `benchmarks/results/*.json`: what was asked, what came out, on which machine. And the table of
speed in the README above it.

python benchmarks/table.py
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import speed
from shown import SHOWN, Grid, Measure

HERE = Path(__file__).parent
RESULTS, README = HERE / "results", HERE / "README.md"
SCRIPTS = {"bert_intents_few_shot": "bert_intents"}
MACHINE = ("machine", "versions", "about", "system", "python", "onnxruntime")
"""Keys that tell what a figure was taken on, wherever they stand at the top."""
COLUMN = "column"
NAME = re.compile(r"\{(.+?)\}")
AIM = re.compile(r"(.+) \((at (?:least|most) .+|.+ tried for)\)")
ONE = re.compile(r"\b1 (row|thread|raw text)s\b")


class Table(NamedTuple):
    names: tuple[str, ...]
    """Heads of the columns that name a row."""
    heads: tuple[str, ...]
    rows: Mapping[tuple[str, ...], Mapping[str, str]]
    """Names of a row → head → what stands there."""

    def __str__(self) -> str:
        lines = [(*self.names, *self.heads), (*(":--" for _ in self.names), *("--:" for _ in self.heads))]
        lines += [(*names, *(cells[head] for head in self.heads)) for names, cells in self.rows.items()]
        return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def render(results: Path = RESULTS) -> str:
    """The whole page."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `python benchmarks/table.py` from `results/*.json`; `python benchmarks/run_all.py --data FOLDER` takes the",
        "figures again. Ratios are of contestants that take turns in one run; where nothing else is said, figures are medians.",
        "In brackets stand the middle half of repeats, the interval of a metric, or the lowest and highest of folds.",
        "`shopkit bench RUN` measures any run of one's own the same way ([docs/bench.md](../docs/bench.md)).",
    ]
    for path in sorted(results.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        lines += ["", f"## {path.stem}", "", _question(path.stem)]
        for shown in tables(path.stem, result):
            lines += ["", str(shown)]
        lines += ["", f"<sub>{machine(result)}</sub>"]
    return "\n".join(lines) + "\n"


def tables(name: str, result: Any) -> Iterator[Table | str]:
    """What is shown of one result: tables and sentences."""
    if name not in SHOWN:
        yield _every_number(result)
    for shown in SHOWN.get(name, ()):
        if isinstance(shown, str):
            yield str(result[shown])
        elif (table := _table(shown, result)).rows:
            yield table


def _table(grid: Grid, result: Any) -> Table:
    """
    Raises:
        ValueError: two figures would stand in one place.
    """
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    lacking: dict[str, str] = {}
    names: tuple[str, ...] = ()
    for measure in grid:
        for found, value in _at(result, measure.path.split("/"), {}):
            if (written := _written(value, measure)) is None:
                continue
            head = ONE.sub(r"1 \1", measure.head.replace(f"{{{COLUMN}}}", found.pop(COLUMN, "")))
            aims = {"aim": aim[2] for aim in map(AIM.fullmatch, found.values()) if aim}  # noqa: B035  (a row has one at most)
            row = rows.setdefault(tuple(AIM.sub(r"\1", text) for text in found.values()), {})
            if head in row:
                raise ValueError(f"{measure.path}: two figures are '{head}' of {', '.join(found.values())}.")
            row |= {head: written} | aims
            lacking |= {head: measure.lacking} | dict.fromkeys(aims, "")
            names = tuple(found)
    return Table(names, tuple(lacking), {place: lacking | cells for place, cells in rows.items()})


def _at(value: Any, path: list[str], found: Mapping[str, str]) -> Iterator[tuple[dict[str, str], Any]]:
    """What stands at a path, with what its names found on the way."""
    if not path:
        yield dict(found), value
        return
    step, names = path[0], NAME.findall(path[0])
    if isinstance(value, list) and not all(isinstance(one, Mapping) for one in value):
        return
    if isinstance(value, list) and not names:  # folds
        values = [float(one[step]) for one in value]
        yield dict(found), {"median": median(values), "low": min(values), "high": max(values)}
    elif isinstance(value, list):  # cases, named by their plain values
        named = {", ".join(str(v) for v in one.values() if isinstance(v, (str, int))): one for one in value}
        yield from _at(named, path, found)
    elif isinstance(value, Mapping):
        wanted = re.compile("".join("(.+)" if i % 2 else re.escape(part) for i, part in enumerate(NAME.split(step))))
        for key, item in value.items():
            if match := wanted.fullmatch(key):
                texts = (ONE.sub(r"1 \1", text) for text in match.groups())
                yield from _at(item, path[1:], {**found, **dict(zip(names, texts, strict=True))})


def _written(value: Any, measure: Measure) -> str | None:
    """A text, or a figure with its spread where it has one; None for what is neither."""

    def form(figure: float) -> str:
        return measure.form.format(figure / measure.per)

    if isinstance(value, Mapping):
        middle = next((form(value[key]) for key in ("median", "value", "mean") if key in value), None)
        if middle is not None and "spread" in value:
            return f"{middle} ± {form(value['spread'])}"
        return f"{middle} ({form(value['low'])} to {form(value['high'])})" if {"low", "high"} <= value.keys() else middle
    if isinstance(value, str):
        return measure.form.format(value)
    return form(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _every_number(result: Mapping[str, Any]) -> Table:
    """All numbers of a result: the last key is the head, those before it name the row."""
    rows: dict[tuple[str, ...], dict[str, str]] = {}

    def take(value: Any, path: tuple[str, ...]) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                if path or key not in MACHINE:
                    take(item, (*path, str(key)))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            rows.setdefault((", ".join(path[:-1]),), {})[path[-1]] = f"{value:.4g}"

    take(result, ())
    heads = dict.fromkeys(head for cells in rows.values() for head in cells)
    return Table(("what",), tuple(heads), {names: dict.fromkeys(heads, "–") | cells for names, cells in rows.items()})


def machine(result: Mapping[str, Any]) -> str:
    """What the figures were taken on, in a line."""
    found: dict[str, str] = {}
    for key in MACHINE:
        value = result.get(key)
        if isinstance(value, Mapping):
            found |= {name: str(item) for name, item in value.items() if isinstance(item, (str, int, float))}
        elif value is not None:
            found[key] = str(value)
    return ", ".join(f"{name} {value}" for name, value in found.items())


def _question(name: str) -> str:
    """The first paragraph of the script's own words."""
    script = HERE / f"{SCRIPTS.get(name, name)}.py"
    if not script.is_file():
        return ""
    words = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    first = " ".join(words.partition("\n\n")[0].split())
    return f"{first} ([{script.name}]({script.name}))" if words else ""


def main() -> None:
    README.write_text(render(), encoding="utf-8")
    speed.write()
    print(README, speed.README, sep="\n")


if __name__ == "__main__":
    main()
