"""The tables of a report, as rows of ready text: what stands in `metrics.json`, ordered and worded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shopkit.report.formats import is_number, percent, scalar
from shopkit.report.headline import (
    LEVELS,
    baseline_title,
    baselines_of,
    change,
    interval,
    measured_on,
    primary_metric,
    title_of,
    written,
)
from shopkit.schema import PARTS

Plain = Mapping[str, Any]
Row = dict[str, Any]

MOST_CLASSES = 25
"""Classes in a confusion matrix; with more, the rarest are joined as others."""


@dataclass(frozen=True)
class Track:
    """A bar or dot with its interval on a common scale, in per cent of the scale's length."""

    start: float
    width: float
    at: float
    low: float | None = None
    span: float = 0.0


@dataclass(frozen=True)
class Scale:
    """From the smallest to the largest value of a table; 0 belongs to it if `zero`."""

    low: float
    high: float

    @classmethod
    def over(cls, estimates: Iterable[Plain], zero: bool = False) -> Scale:
        values = [e[key] for e in estimates for key in ("value", "low", "high") if is_number(e.get(key))]
        values = [*values, 0.0] if zero or not values else values
        low, high = min(values), max(values)
        # Without zero the ends get air, so that no dot sits on the border.
        air = 0.0 if zero else (high - low or abs(high) or 1.0) * 0.06
        return cls(low - air, high + air)

    def track(self, estimate: Plain) -> Track:
        value, low, high = (estimate.get(key) for key in ("value", "low", "high"))
        at = self._place(value if is_number(value) else 0.0)
        zero = self._place(min(max(0.0, self.low), self.high))
        if not (is_number(low) and is_number(high)):
            return Track(min(at, zero), round(abs(at - zero), 2), at)
        return Track(
            min(at, zero), round(abs(at - zero), 2), at, self._place(low), round(self._place(high) - self._place(low), 2)
        )

    def _place(self, value: float) -> float:
        return round(100 * (value - self.low) / ((self.high - self.low) or 1.0), 2)


def metrics_table(metrics: Plain, unit: str) -> list[Row]:
    """A row for each metric: test with interval, validation, meaning."""
    about, validation = metrics.get("about") or {}, measured_on("validation", metrics)
    return [
        {
            "title": title_of(metrics, name),
            "value": written(name, estimate.get("value"), unit),
            "interval": interval(name, estimate, unit),
            "validation": written(name, (validation.get(name) or {}).get("value"), unit),
            "better": (about.get(name) or {}).get("better", ""),
            "meaning": (about.get(name) or {}).get("meaning", ""),
        }
        for name, estimate in measured_on("test", metrics).items()
    ]


def baselines_chart(metrics: Plain, model: str, unit: str) -> list[Row]:
    """Model and baselines on the primary metric, on one scale, best first."""
    name = primary_metric(metrics)
    rows: list[tuple[str, Plain]] = [(f"this model ({model})", measured_on("test", metrics).get(name) or {})]
    for baseline, result in baselines_of(metrics).items():
        rows.append((baseline_title(baseline), (result.get("metrics") or {}).get(name) or {}))
    rows = [(title, estimate) for title, estimate in rows if is_number(estimate.get("value"))]
    better = ((metrics.get("about") or {}).get(name) or {}).get("better", "higher")
    own, guess = rows[0][0] if rows else "", baseline_title("constant")
    # The constant guess is so far off that the others would sit on one spot; beside two others it is only named.
    close = [estimate for title, estimate in rows if title != guess]
    scale = Scale.over(close if len(close) > 1 else (estimate for _, estimate in rows))
    rows.sort(key=lambda row: row[1]["value"], reverse=better == "higher")
    return [
        {
            "title": title,
            "track": scale.track(estimate) if scale.low <= estimate["value"] <= scale.high else None,
            "other": title != own,
            "value": written(name, estimate["value"], unit),
            "interval": interval(name, estimate, unit),
        }
        for title, estimate in rows
    ]


def baselines_table(metrics: Plain, unit: str) -> list[Row]:
    """A row for each metric and baseline: its value, and the model's paired difference with a verdict."""
    rows = []
    for baseline, result in baselines_of(metrics).items():
        for name, estimate in (result.get("metrics") or {}).items():
            difference = (result.get("difference") or {}).get(name) or {}
            if not is_number(estimate.get("value")):
                continue
            rows.append(
                {
                    "baseline": baseline_title(baseline),
                    "metric": title_of(metrics, name),
                    "value": written(name, estimate["value"], unit),
                    "difference": change(name, difference, unit),
                    "verdict": difference.get("verdict") or "",
                    "level": LEVELS.get(difference.get("verdict") or "", "even"),
                }
            )
    return rows


def confusion(metrics: Plain) -> Row | None:
    """Counts by actual and predicted class, each with its share of the actual class; rare classes beyond the first are joined."""
    data = (metrics.get("curves") or {}).get("confusion") or {}
    classes, counts = data.get("classes") or [], data.get("counts") or []
    if not classes or len(classes) != len(counts):
        return None
    if len(classes) > MOST_CLASSES:
        classes, counts = _joined(classes, counts)
    rows = []
    for name, line in zip(classes, counts, strict=True):
        total = sum(line)
        rows.append({"actual": name, "total": total, "cells": [(n, n / total if total else 0.0) for n in line]})
    return {"classes": classes, "rows": rows, "threshold": data.get("threshold")}


def _joined(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> tuple[list[str], list[list[int]]]:
    """The classes with the most rows, in their order, and all others as one."""
    largest = sorted(range(len(classes)), key=lambda i: -sum(counts[i]))[: MOST_CLASSES - 1]
    groups = [[i] for i in sorted(largest)] + [[i for i in range(len(classes)) if i not in largest]]
    names = [classes[group[0]] for group in groups[:-1]] + [f"{len(groups[-1])} others"]
    return names, [[sum(counts[i][j] for i in actual for j in predicted) for predicted in groups] for actual in groups]


def importance(metrics: Plain, unit: str) -> Row | None:
    """Loss of the metric when a column is shuffled, largest first."""
    data = metrics.get("importance") or {}
    columns = data.get("columns") or []
    if not columns:
        return None
    name = str(data.get("metric", ""))
    scale = Scale.over(columns, zero=True)
    rows = [
        {
            "column": column["column"],
            "track": scale.track(column),
            "value": written(name, column.get("value"), unit),
            "interval": interval(name, column, unit),
        }
        for column in columns
    ]
    return {"metric": title_of(metrics, name), "n_rows": data.get("n_rows"), "n_repeats": data.get("n_repeats"), "rows": rows}


def segments(metrics: Plain, unit: str) -> list[Row]:
    """A table for each column: how well the file does in each of its segments."""
    tables = []
    for entry in metrics.get("segments") or []:
        rows = entry.get("rows") or []
        measured = list(dict.fromkeys(name for row in rows for name in row.get("metrics") or {}))
        if not measured:
            continue
        wanted = primary_metric(metrics)
        name = wanted if wanted in measured else measured[0]
        estimates = [(row.get("metrics") or {}).get(name) or {} for row in rows]
        scale = Scale.over(estimates)
        tables.append(
            {
                "column": entry.get("column", ""),
                "metric": title_of(metrics, name),
                "rows": [
                    {
                        **row,
                        "track": scale.track(estimate) if is_number(estimate.get("value")) else None,
                        "value": written(name, estimate.get("value"), unit),
                        "interval": interval(name, estimate, unit),
                    }
                    for row, estimate in zip(rows, estimates, strict=True)
                ],
            }
        )
    return tables


def drift(metrics: Plain) -> list[Row]:
    """Train against test, largest first."""
    rows = metrics.get("drift") or []
    scale = Scale.over([{"value": row.get("psi")} for row in rows], zero=True)
    return [{**row, "track": scale.track({"value": row.get("psi")})} for row in rows]


def parts(metrics: Plain, times: Mapping[str, Sequence[Any]]) -> list[Row]:
    """A row for each part of the split: rows, dates, target."""
    n_rows, target = metrics.get("n_rows") or {}, metrics.get("target") or {}
    rates, means = target.get("rate") or {}, target.get("mean") or {}
    known = [span for span in times.values() if span and is_number(span[0]) and is_number(span[1])]
    first, last = (min(span[0] for span in known), max(span[1] for span in known)) if known else (0, 1)
    scale = Scale(first, last + max((last - first) * 0.01, 1))
    rows = []
    for part, n in sorted(n_rows.items(), key=lambda item: (*PARTS, item[0]).index(item[0])):
        span = times.get(part) or (None, None)
        dated = is_number(span[0]) and is_number(span[1])
        rate = rates.get(part)
        rows.append(
            {
                "part": part,
                "n": n,
                "share": n / (sum(n_rows.values()) or 1),
                "span": span if dated else None,
                "start": scale.track({"value": span[0]}).at if dated else None,
                "width": max(scale.track({"value": span[1]}).at - scale.track({"value": span[0]}).at, 1.0) if dated else None,
                "rate": rate if is_number(rate) else None,
                "mean": means.get(part),
            }
        )
    return rows


def sampled(metrics: Plain) -> list[str]:
    """Sentences on what was measured on some of the rows only."""
    n_rows, some = metrics.get("n_rows") or {}, dict(metrics.get("sampled") or {})
    found = []
    on = some.pop("baselines", None)
    if some:
        listed = ", ".join(f"{some[part]:,} of the {n_rows.get(part, 0):,} {part} rows" for part in PARTS if part in some)
        found.append(
            f"What is said of columns (importance, segments, drift, columns that leak) is of {listed}, evenly spaced; "
            "metrics and their intervals are of all rows."
        )
    if on is not None:
        found.append(f"Baselines were fitted on {on:,} of the {n_rows.get('train', 0):,} train rows, evenly spaced.")
    return found


def features(stage: Plain) -> list[Row]:
    """What each column becomes: extractor, its settings, width in the tensors, and why."""
    return [{**row, "settings": scalar(row["settings"]) if row.get("settings") else ""} for row in stage.get("columns") or []]


MUCH_CUT = 0.05
"""Share of the rows from which it is noted that a limit of length cuts them."""


def cut(stage: Plain) -> list[tuple[str, bool]]:
    """What each limit of length does to the training rows, in a sentence, and whether it is worth a note."""
    said = []
    for found in stage.get("cut") or []:
        columns, unit, most = ", ".join(found["columns"]), found["unit"], f"{found['max_length']:,}"
        if not found["rows"]:
            said.append((f"{columns}: no training row is longer than the {most} {unit} that are read.", False))
            continue
        end = {"end": "last", "latest": "last"}.get(found["keep"], "first")
        text = (
            f"{columns}: {percent(found['rows'])} of the training rows are longer than the {most} {unit} that are read, the "
            f"{end} ones; {percent(found['lost'])} of all {unit} are not read."
        )
        where = "features.max_length" if unit == "steps" else "max_length of the extractor, in features.columns,"
        many = found["rows"] > MUCH_CUT
        said.append((f"{text} If what is cut matters, raise {where} or keep the other end." if many else text, many))
    return said
