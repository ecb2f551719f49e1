"""`cv.html`: the folds of a cross-validation side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shopkit.report.figures import Figure, figure
from shopkit.report.formats import is_number
from shopkit.report.headline import PRIMARY, interval, title_of, written
from shopkit.report.page import environment
from shopkit.report.svg import Axis, Chart
from shopkit.runs import replacing

Plain = Mapping[str, Any]


def render_folds(facts: Plain, path: Path) -> None:
    """Write the page; equal facts give equal bytes.

    Args:
        facts: as `shopkit.crossvalidation.summarise` makes them.
    """
    metrics, unit = facts["metrics"], facts["unit"]
    primary = next((name for name in (*PRIMARY.get(facts["kind"], ()), *metrics) if name in metrics), "")
    rows = [
        {
            "title": title_of(facts, name),
            "better": (facts["about"].get(name) or {}).get("better", ""),
            "value": written(name, mean["value"], unit),
            "interval": interval(name, mean, unit),
            "folds": [written(name, fold.get("value"), unit) for fold in mean["folds"]],
        }
        for name, mean in metrics.items()
    ]
    context = {
        "facts": facts,
        "primary": title_of(facts, primary),
        "value": written(primary, metrics[primary]["value"], unit),
        "interval": interval(primary, metrics[primary], unit),
        "rows": rows,
        "pictures": [_picture(name, facts) for name in metrics],
        "contents": [("metrics", "Metrics"), ("folds", "Fold by fold")],
    }
    with replacing(path) as temporary:
        temporary.write_text(environment(html=True).get_template("folds.html.j2").render(context), encoding="utf-8")


def _picture(name: str, facts: Plain) -> Figure | None:
    """A dot with its interval for each fold, over the band of the mean's interval."""
    mean, title = facts["metrics"][name], title_of(facts, name)
    folds = [(i + 1, fold) for i, fold in enumerate(mean["folds"]) if is_number(fold.get("value"))]
    if not folds or not is_number(mean["value"]):
        return None
    every = [fold[key] for _, fold in [*folds, (0, mean)] for key in ("value", "low", "high") if is_number(fold.get(key))]
    n = len(mean["folds"])
    chart = Chart(
        f"{title} of each fold, and its mean over all",
        Axis("fold", 0.5, n + 0.5, range(1, n + 1), lambda value: f"{value:.0f}"),
        Axis.over(title, every, lambda value: written(name, value)),
    )
    ends = (0.5, n + 0.5)
    if is_number(mean["low"]) and is_number(mean["high"]):
        chart.band([(x, mean["low"]) for x in ends], [(x, mean["high"]) for x in ends])
    chart.line([(x, mean["value"]) for x in ends], dashed=True, title=f"mean {written(name, mean['value'])}")
    for x, fold in folds:
        if is_number(fold.get("low")) and is_number(fold.get("high")):
            chart.whisker(x, fold["low"], fold["high"])
    chart.dots([(x, fold["value"]) for x, fold in folds], titles=[f"fold {x}: {written(name, f['value'])}" for x, f in folds])
    return figure(title, "Each fold's test part with its bootstrap interval; the band is the interval of the mean.", chart)
