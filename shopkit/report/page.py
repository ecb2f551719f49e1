"""`report.html`: one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup, escape

from shopkit.report import cases, exports, figures, formats, speed, tables
from shopkit.report.calling import snippets
from shopkit.report.columns import Summary
from shopkit.report.facts import Facts
from shopkit.report.headline import Headline, headline, positives_of, title_of, unit_of

Plain = Mapping[str, Any]

STAGES = ("source", "view", "split", "task", "model", "exporter")
"""Groups of the configuration, in the order of the way."""

QUESTION = ("source", "view", "split")
"""Groups whose settings belong to the question rather than to the way of answering it."""

SHOWN = ("path", "url", "department", "validation_from", "test_from")
"""Settings of theirs that are shown beside the numbers; the others are names of columns and the like."""

MOST_ROWS = 300
"""Rows of a table with a line a column; with more the page would grow too large to send."""

BREAK_FROM = 22
"""Characters from which a column's name may be broken over two lines."""


@cache
def environment(html: bool) -> jinja2.Environment:
    """The templates, with the number formats as filters; text is escaped in HTML."""
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("shopkit.report"),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in ("amount", "count", "date", "decimal", "duration", "percent", "quantity", "scalar", "size"):
        env.filters[name] = getattr(formats, name)
    env.filters["breakable"] = breakable
    return env


def breakable(name: object) -> Markup:
    """A column's name; a long one may be broken after an underscore or dot, and nowhere else."""
    text = str(escape(name))
    return Markup(text.replace("_", "_<wbr>").replace(".", ".<wbr>") if len(text) > BREAK_FROM else text)


def html_page(facts: Facts, summaries: Mapping[str, Summary]) -> str:
    """The whole page as text."""
    context = _context(facts, summaries)
    return environment(html=True).get_template("report.html.j2").render(context)


def _context(facts: Facts, summaries: Mapping[str, Summary]) -> dict[str, Any]:
    metrics, target = facts.metrics, facts.metrics.get("target") or {}
    unit = unit_of(metrics)
    top = headline(facts)
    examples = facts.stage("examples")
    context = {
        "facts": facts,
        "kind": facts.kind,
        "most_rows": MOST_ROWS,
        "unit": unit,
        "target": target,
        "headline": top,
        "primary": title_of(metrics, top.primary) if top.primary else "",
        "asked": _asked(facts),
        "interval": metrics.get("interval") or {},
        "metrics_table": tables.metrics_table(metrics, unit),
        "baselines_chart": tables.baselines_chart(metrics, facts.model_title, unit),
        "baselines_table": tables.baselines_table(metrics, unit),
        "pictures": _pictures(facts, unit),
        "deciles": (metrics.get("curves") or {}).get("deciles") or [],
        "by_class": (metrics.get("curves") or {}).get("by_class") or [],
        "absolute_error": (metrics.get("curves") or {}).get("absolute_error") or {},
        "protocol": metrics.get("protocol"),
        "details": [(detail, figures.detail(detail)) for detail in metrics.get("details") or []],
        "confusion": tables.confusion(metrics),
        "importance": tables.importance(metrics, unit),
        "cases": cases.cards(facts.cases),
        "cases_method": cases.method(facts.cases),
        "segments": tables.segments(metrics, unit),
        "drift": tables.drift(metrics),
        "audit": metrics.get("audit"),
        "examples": examples,
        "parts": tables.parts(metrics, facts.times),
        "sampled": tables.sampled(metrics),
        "columns": [(column, summaries.get(column.name)) for column in facts.columns],
        "train": facts.stage("train"),
        "features": tables.features(facts.stage("features")),
        "cut": tables.cut(facts.stage("features")),
        "export": facts.stage("export"),
        "exports": exports.lines(facts.exports, metrics),
        "refused": exports.refused(facts.exports),
        "latency": facts.latency,
        "bench": facts.bench,
        "speed": _speed(facts),
        "snippets": snippets(facts.description, summaries) if facts.description else [],
        "outputs": facts.description.outputs if facts.description else (),
        "provenance": facts.provenance,
        "manifest": facts.manifest,
    }
    context["tiles"] = _tiles(facts, context, top)
    context["contents"] = _contents(facts)
    return context


def _speed(facts: Facts) -> dict[str, Any]:
    bench = facts.bench
    return {
        "sizes": speed.sizes_of(bench),
        "tables": [(threads, speed.table(bench, threads)) for threads in speed.threads_of(bench)],
        "picture": speed.picture(bench),
        "ratios": speed.ratios(bench),
        "left_out": speed.left_out(bench),
    }


def _contents(facts: Facts) -> list[tuple[str, str]]:
    decision = {
        "binary": [("ranking", "Which to pick"), ("decision", "Decision")],
        "multiclass": [("classes", "Classes")],
        "regression": [("errors", "Errors")],
    }
    return [
        ("result", "Result"),
        ("asked", "What was asked"),
        ("quality", "How good it is"),
        *decision.get(facts.kind, []),
        ("drivers", "What drives it"),
        *([("cases", "Cases")] if facts.cases else []),
        ("segments", "Segments"),
        ("data", "Data"),
        ("drift", "Drift"),
        ("training", "Training"),
        ("features", "Features"),
        ("file", "The file"),
        *([("speed", "Speed")] if facts.bench else []),
        ("calling", "How to call it"),
        ("provenance", "Provenance"),
    ]


def _pictures(facts: Facts, unit: str) -> dict[str, list[figures.Figure | None]]:
    metrics = facts.metrics
    curves = metrics.get("curves") or {}
    rate = ((metrics.get("target") or {}).get("rate") or {}).get("test")
    threshold = (curves.get("confusion") or {}).get("threshold")
    titles = {name: title_of(metrics, name) for name in metrics.get("about") or {}}
    pictures: dict[str, list[figures.Figure | None]] = {
        "learning": [*figures.learning(facts.stage("train"), titles)],
        "calibration": [figures.calibration(curves, facts.kind, unit)],
    }
    if facts.kind == "binary":
        positives = positives_of(facts)
        pictures["ranking"] = [figures.gains(curves, rate, positives), figures.lift(curves, positives)]
        pictures["curves"] = [figures.roc(curves), figures.precision_recall(curves)]
        pictures["decision"] = [
            figures.thresholds(curves, threshold),
            figures.scores(curves, threshold),
            *pictures["calibration"],
        ]
    elif facts.kind == "multiclass":
        pictures["curves"] = [figures.roc(curves), *pictures["calibration"]]
    elif facts.kind == "regression":
        pictures["errors"] = [
            figures.predicted_actual(curves, unit),
            figures.residuals(curves, unit),
            *pictures["calibration"],
            figures.error_by_tenth(curves, unit),
        ]
    return pictures


def _asked(facts: Facts) -> list[tuple[str, str, str]]:
    """Group, component, and the settings that say what was asked; how it was answered stands in the whole configuration."""
    rows = []
    for name in STAGES:
        group = facts.group(name)
        settings = {
            key: value
            for key, value in group.items()
            if name in QUESTION and value and (_numeric(value) or key in SHOWN) and not _is_unused(key, group)
        }
        if group.get("name"):
            rows.append((name, str(group.get("name", "")), "; ".join(f"{k}: {formats.scalar(v)}" for k, v in settings.items())))
    return rows


def _is_unused(key: str, group: Plain) -> bool:
    """A part's share, where the split says on which day it begins."""
    return key.endswith("_fraction") and bool(group.get(key.replace("_fraction", "_from")))


def _numeric(value: Any) -> bool:
    """A number or some: horizons, windows, fractions."""
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(map(formats.is_number, values))


def _tiles(facts: Facts, context: Plain, top: Headline) -> list[tuple[str, str, str]]:
    """The few numbers at the top: label, value, small print."""
    rows = {row["title"]: row for row in context["metrics_table"]}
    wanted = {
        "binary": ("auroc", "average_precision", "calibration_error"),
        "multiclass": ("accuracy", "f1_macro", "log_loss"),
        "regression": ("mae", "wape", "r2"),
        "ranking": ("ndcg", "mrr", "recall"),
    }.get(facts.kind, (top.primary,))
    tiles = []
    for name in wanted:
        row = rows.get(title_of(facts.metrics, name))
        if row:
            tiles.append((row["title"], row["value"], row["interval"] or row["meaning"]))
    for batch in facts.latency.get("batches") or []:
        if batch.get("rows") == 1 and formats.is_number(batch.get("median_ms")):
            tiles.append(
                ("One answer takes", formats.duration(batch["median_ms"] / 1000), "from raw values, one processor thread")
            )
    size = context["export"].get("size_bytes")
    if formats.is_number(size):
        tiles.append(("One file", formats.size(size), "raw columns in, decision out"))
    return tiles
