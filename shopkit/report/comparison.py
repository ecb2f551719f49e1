"""Several runs side by side: metrics with intervals, what differs in their configurations, overlaid curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.report import figures
from shopkit.report.facts import Facts
from shopkit.report.formats import is_number, scalar
from shopkit.report.headline import interval, measured_on, primary_metric, title_of, unit_of, written
from shopkit.report.page import environment
from shopkit.report.tables import Scale, Track
from shopkit.runs import ELSEWHERE, Run, replacing

NOT_COMPARED = ("resume", "logger", "hydra")
"""Groups of the configuration that do not change a result."""


@dataclass(frozen=True)
class Estimate:
    """One metric of one run."""

    text: str
    interval: str
    is_best: bool
    track: Track | None


@dataclass(frozen=True)
class MetricRow:
    """One metric in all runs."""

    name: str
    title: str
    better: str
    cells: tuple[Estimate, ...]


@dataclass(frozen=True)
class Comparison:
    """What the command line prints and the page shows."""

    runs: tuple[str, ...]
    """Names, made distinct by the folder where they are equal."""
    metrics: tuple[MetricRow, ...]
    differences: tuple[tuple[str, tuple[str, ...]], ...]
    """Setting → its value in each run; only those that differ."""
    notes: tuple[str, ...]
    """Why a comparison may not be fair."""


def compare(runs: Sequence[Run], path: Path | None = None) -> Comparison:
    """Compare complete runs; with a path, also write the comparing HTML page there.

    Raises:
        RunError: a run was not evaluated, or the page cannot be written.
    """
    facts = [Facts.read(run) for run in runs]
    names = _names(facts)
    comparison = Comparison(names, tuple(_metric_rows(facts)), tuple(_differences(facts)), tuple(_notes(facts)))
    if path is not None:
        text = (
            environment(html=True)
            .get_template("compare.html.j2")
            .render(
                comparison=comparison,
                leads=[fact.model_title for fact in facts],
                primary=primary_metric(facts[0].metrics),
                pictures=figures.overlaid([fact.metrics.get("curves") or {} for fact in facts], names),
                contents=[("metrics", "Metrics"), ("curves", "Curves"), ("settings", "Settings")],
            )
        )
        with replacing(path, ELSEWHERE) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return comparison


def _names(facts: Sequence[Facts]) -> tuple[str, ...]:
    names = [fact.name for fact in facts]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({fact.run.path.name})" for name, fact in zip(names, facts, strict=True)
    )


def _metric_rows(facts: Sequence[Facts]) -> Iterator[MetricRow]:
    measured: list[Mapping[str, Any]] = [measured_on("test", fact.metrics) for fact in facts]
    unit = unit_of(facts[0].metrics) if facts else ""
    for name in dict.fromkeys(name for one in measured for name in one):
        estimates = [one.get(name) or {} for one in measured]
        about: Mapping[str, str] = next(
            (fact.metrics["about"][name] for fact in facts if name in (fact.metrics.get("about") or {})), {}
        )
        values = [estimate["value"] for estimate in estimates if is_number(estimate.get("value"))]
        best = (min if about.get("better") == "lower" else max)(values, default=None)
        scale = Scale.over(estimates)
        cells = tuple(
            Estimate(
                written(name, estimate.get("value"), unit),
                interval(name, estimate, unit),
                len(values) > 1 and estimate.get("value") == best,
                scale.track(estimate) if is_number(estimate.get("value")) else None,
            )
            for estimate in estimates
        )
        title = next((title_of(fact.metrics, name) for fact in facts if name in (fact.metrics.get("about") or {})), name)
        yield MetricRow(name, title, str(about.get("better", "")), cells)


def _differences(facts: Sequence[Facts]) -> Iterator[tuple[str, tuple[str, ...]]]:
    flat = [dict(_flat(fact.config)) for fact in facts]
    for key in sorted({key for one in flat for key in one}):
        if key.split(".")[0] in NOT_COMPARED:
            continue
        values = tuple(one.get(key, "–") for one in flat)
        if len(set(values)) > 1:
            yield key, values


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", scalar(item)


def _notes(facts: Sequence[Facts]) -> Iterator[str]:
    if len({fact.kind for fact in facts}) > 1:
        yield "The runs have different tasks; only metrics of the same name are comparable."
    if len({fact.stage("examples").get("fingerprint") for fact in facts}) > 1:
        yield "The runs are made from different data, so their metrics are not comparable row by row."
    if len({(fact.metrics.get("n_rows") or {}).get("test") for fact in facts}) > 1:
        yield "The test parts differ in size, so the runs were measured on different rows."
        return
    tested = [table for table in (_tested(fact.run.split_path) for fact in facts) if table is not None]
    if any(not table.equals(tested[0]) for table in tested[1:]):
        yield "The test parts are of one size, but not the same rows, so a difference may be one of the rows."


def _tested(path: Path) -> pa.Table | None:
    """The keys of the test part, or where there are none, the numbers of its rows; None of a run that did not keep them."""
    if not path.is_file():
        return None
    is_test = pq.read_table(path, columns=["part"])["part"].to_numpy() == "test"
    keys = pq.read_table(path).drop_columns(["part"])
    return keys.filter(is_test) if keys.num_columns else pa.table({"row": np.flatnonzero(is_test)})
