"""`search.html`: the trials of a search, or the runs of a sweep, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from shopkit.report.coordinates import Line, Spoke, parallel_coordinates
from shopkit.report.figures import Figure, Key, figure
from shopkit.report.formats import duration, is_number, scalar
from shopkit.report.headline import interval, title_of, written
from shopkit.report.page import environment
from shopkit.report.svg import Axis, Chart, nice_ticks
from shopkit.report.tables import Scale
from shopkit.runs import read_json, replacing

Plain = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """One combination of settings, and what came of it."""

    number: int
    state: str
    """`running`, `complete`, `pruned` (stopped early, as others were better) or `failed`."""
    params: dict[str, Any]
    value: float | None = None
    """The metric on the validation part; of a pruned trial, at its last epoch."""
    epochs: list[float] = field(default_factory=list)
    """The metric after each epoch."""
    seconds: float = 0.0
    reason: str = ""
    """Why it failed."""
    path: str = ""
    """The page of its run, where it has one of its own."""

    @classmethod
    def read(cls, path: Path) -> Trial:
        return cls(**read_json(path))

    @property
    def said(self) -> str:
        shown = ", ".join(f"{key}={_shown(value)}" for key, value in self.params.items())
        came = self.reason if self.state == "failed" else "–" if self.value is None else f"{self.value:.4f}"
        return f"{came}{' (stopped early)' if self.state == 'pruned' else ''} with {shown}"


def _shown(value: Any) -> str:
    return f"[{', '.join(map(scalar, value))}]" if isinstance(value, list) else scalar(value)


def render_search(facts: Plain, path: Path) -> None:
    """Write the page; equal facts give equal bytes.

    Args:
        facts: `experiment`, `model`, `monitor` (`name`, `mode`), `about`, `unit`, `trials`, `command`, of a search `test`, and of
            a sweep of cross-validations `n_folds`.
    """
    trials = [Trial(**trial) for trial in facts["trials"]]
    name, mode = facts["monitor"]["name"], facts["monitor"]["mode"]
    sign = 1.0 if mode == "max" else -1.0
    title, unit = title_of(facts, name), facts["unit"]
    done = [trial for trial in trials if trial.state == "complete" and is_number(trial.value)]
    ranked = sorted(done, key=lambda trial: -sign * (trial.value or 0.0))
    rest = [trial for trial in trials if trial not in done]
    keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
    shares = importance(done, keys)
    scale = Scale.over([{"value": share} for share in shares.values()], zero=True)
    context = {
        "facts": facts,
        "n_folds": facts.get("n_folds", 1),
        "title": title,
        "better": "higher" if mode == "max" else "lower",
        "best": ranked[0] if ranked else None,
        "value": written(name, ranked[0].value, unit) if ranked else "",
        "settings": [(key, _shown(value)) for key, value in ranked[0].params.items()] if ranked else [],
        "keys": keys,
        "counts": {state: sum(trial.state == state for trial in trials) for state in ("complete", "pruned", "failed")},
        "seconds": duration(sum(trial.seconds for trial in trials)),
        "rows": [
            {
                "trial": trial,
                "value": written(name, trial.value, unit),
                "settings": [_shown(trial.params.get(key)) for key in keys],
            }
            for trial in [*ranked, *rest]
        ],
        "importance": [
            {"setting": key, "track": scale.track({"value": share}), "share": share}
            for key, share in sorted(shares.items(), key=lambda item: -item[1])
        ],
        "coordinates": _coordinates(ranked, keys, name, title, sign),
        "pictures": [_progress(trials, name, title, sign), *(_scatter(done, key, name, title) for key in keys)],
        "test": [
            (title_of(facts, metric), written(metric, estimate.get("value"), unit), interval(metric, estimate, unit))
            for metric, estimate in (facts.get("test") or {}).items()
        ],
        "contents": [
            ("best", "Best"),
            ("compared", "All together"),
            ("settings", "Setting by setting"),
            ("trials", "Every trial"),
        ],
    }
    with replacing(path) as temporary:
        temporary.write_text(environment(html=True).get_template("search.html.j2").render(context), encoding="utf-8")


def importance(trials: Sequence[Trial], keys: Sequence[str]) -> dict[str, float]:
    """Share of the variance of the metric that each setting explains by itself, 0 to 1; empty with fewer than 4 trials.

    Numbers are cut into up to four bins of equal counts. The share is epsilon squared (Kelley, "An unbiased correlation ratio
    measure", PNAS 21, 1935), which is 0 on average where a setting does nothing, however many values it takes.
    """
    if len(trials) < 4:
        return {}
    y = np.array([trial.value for trial in trials], np.float64)
    total = float(((y - y.mean()) ** 2).sum())
    found = {}
    for key in keys:
        values = [trial.params.get(key) for trial in trials]
        if all(is_number(value) for value in values):
            numbers = np.array(values, np.float64)
            edges = np.unique(np.quantile(numbers, (0.25, 0.5, 0.75)))
            codes = np.searchsorted(edges, numbers, side="left") if len(np.unique(numbers)) > 4 else _codes(values)
        else:
            codes = _codes(values)
        groups = [y[codes == code] for code in np.unique(codes)]
        within = float(sum(((group - group.mean()) ** 2).sum() for group in groups))
        free = len(y) - len(groups)
        found[key] = 0.0 if total <= 0 or free < 1 else max(0.0, 1 - (within / free) / (total / (len(y) - 1)))
    return found


def _codes(values: Sequence[Any]) -> np.ndarray:
    return np.unique([_shown(value) for value in values], return_inverse=True)[1]


# -- pictures --------------------------------------------------------------------------------------------------------


def _progress(trials: Sequence[Trial], name: str, title: str, sign: float) -> Figure | None:
    """Each trial in turn, and the best so far."""
    done = [(trial.number + 1.0, trial.value) for trial in trials if trial.state == "complete" and is_number(trial.value)]
    stopped = [(trial.number + 1.0, trial.value) for trial in trials if trial.state == "pruned" and is_number(trial.value)]
    if len(done) < 2:
        return None
    best: list[tuple[float, float]] = []
    for number, value in done:
        top = max([value, *(point[1] for point in best)], key=lambda one: sign * one)
        best += [(number, best[-1][1]), (number, top)] if best else [(number, top)]
    n = len(trials)
    ticks = [tick for tick in nice_ticks(1, n) if 1 <= tick <= n and tick == int(tick)] or [1.0]
    chart = Chart(
        f"{title} of each trial",
        Axis("trial", 0.5, n + 0.5, ticks, lambda tick: f"{tick:.0f}"),
        Axis.over(title, [value for _, value in done], lambda value: written(name, value)),
    )
    chart.line(best, title="best so far").dots(done, titles=[f"trial {number:.0f}: {written(name, v)}" for number, v in done])
    chart.dots(stopped, series=9, titles=[f"trial {number:.0f}, stopped early" for number, _ in stopped], radius=2.5)
    keys = (Key(0, "best so far"), Key(9, "stopped early")) if stopped else (Key(0, "best so far"),)
    return figure("Trial by trial", "On the validation part; the line is the best so far.", chart, *keys)


def _scatter(trials: Sequence[Trial], key: str, name: str, title: str) -> Figure | None:
    """The metric against one setting."""
    if len(trials) < 2:
        return None
    spoke = _spoke(trials, key)
    values = [trial.value for trial in trials if trial.value is not None]
    chart = Chart(
        f"{title} against {key}",
        Axis(key, -0.06, 1.06, [at for at, _ in spoke.ticks], lambda at: dict(spoke.ticks)[at]),
        Axis.over(title, values, lambda value: written(name, value)),
    )
    points = [(spoke.place(trial.params.get(key)), trial.value or 0.0) for trial in trials]
    titles = [f"{key}={_shown(trial.params.get(key))}: {written(name, trial.value)}" for trial in trials]
    return figure(key, "Each dot is a trial, its other settings as they were.", chart.dots(points, titles=titles))


def _coordinates(ranked: Sequence[Trial], keys: Sequence[str], name: str, title: str, sign: float) -> Markup | None:
    if len(ranked) < 2 or not keys:
        return None
    spokes = [*(_spoke(ranked, key) for key in keys), _metric_spoke(ranked, name, title, sign)]
    lines = [
        Line(
            [
                *(spoke.place(trial.params.get(key)) for spoke, key in zip(spokes, keys, strict=False)),
                spokes[-1].place(trial.value),
            ],
            1 - index / max(len(ranked) - 1, 1),
            f"trial {trial.number + 1}: {trial.said}",
        )
        for index, trial in enumerate(ranked)
    ]
    return Markup(parallel_coordinates(f"Settings and {title} of every trial", spokes, lines))


def _spoke(trials: Sequence[Trial], key: str) -> Spoke:
    """The axis of a setting: its values in order, or a range where they are numbers."""
    values = [trial.params.get(key) for trial in trials]
    distinct = list({_shown(value): value for value in values}.items())
    numbers = [value for value in values if is_number(value)]
    if len(numbers) < len(values) or len(distinct) <= 5:
        ordered = sorted(distinct, key=lambda item: (not is_number(item[1]), item[1] if is_number(item[1]) else 0, item[0]))
        step = 1 / max(len(ordered) - 1, 1)
        places = {text: i * step if len(ordered) > 1 else 0.5 for i, (text, _) in enumerate(ordered)}
        return Spoke(key, lambda value: places[_shown(value)], [(place, text) for text, place in places.items()])
    low, high = min(numbers), max(numbers)
    is_log = low > 0 and high / low >= 20
    move = math.log10 if is_log else float
    span = move(high) - move(low)
    middle = 10 ** ((math.log10(low) + math.log10(high)) / 2) if is_log else (low + high) / 2
    ticks = [(at, f"{value:.2g}") for at, value in ((0.0, low), (0.5, middle), (1.0, high))]
    return Spoke(key, lambda value: (move(value) - move(low)) / span, ticks)


def _metric_spoke(trials: Sequence[Trial], name: str, title: str, sign: float) -> Spoke:
    """The axis of the metric, the better end on top."""
    values = [trial.value for trial in trials if trial.value is not None]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def place(value: Any) -> float:
        at = (float(value) - low) / span
        return at if sign > 0 else 1 - at

    return Spoke(title, place, [(place(value), written(name, value)) for value in (low, (low + high) / 2, high)])
