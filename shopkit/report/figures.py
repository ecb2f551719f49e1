"""The pictures of a report, each from the part of `metrics.json` that it shows; None where that part is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from shopkit.report.formats import amount, count, decimal, is_number, percent
from shopkit.report.svg import Axis, Chart, nice_ticks, shares

Plain = Mapping[str, Any]


@dataclass(frozen=True)
class Key:
    """One line of a legend."""

    series: int
    label: str
    dashed: bool = False


@dataclass(frozen=True)
class Figure:
    """A picture with the words beside it."""

    title: str
    reading: str
    """How to read it, in a sentence."""
    svg: Markup
    keys: tuple[Key, ...] = ()


def figure(title: str, reading: str, chart: Chart, *keys: Key) -> Figure:
    # Every text that goes into a chart is escaped by the chart.
    return Figure(title, reading, Markup(chart.svg()), keys)


def _series(data: Plain, *names: str) -> list[list[float]] | None:
    """Columns of equal length, a missing value as NaN; None if a column is not there or empty."""
    columns = [data.get(name) or [] for name in names]
    if not all(columns) or len({len(column) for column in columns}) != 1:
        return None
    return [[float(value) if is_number(value) else float("nan") for value in column] for column in columns]


def _of(rows: Sequence[Plain], *names: str) -> list[list[float]]:
    return [[float(row[name]) if is_number(row.get(name)) else float("nan") for row in rows] for name in names]


def _points(x: Sequence[float], y: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(x, y, strict=True))


# -- learning -------------------------------------------------------------------------------------------------------


def learning(train: Plain, titles: Mapping[str, str]) -> list[Figure]:
    """Losses and validation metrics by epoch, counted from 1, the kept epoch marked. The watched metric comes first."""
    history = train.get("history") or []
    if len(history) < 2:
        return []
    last = history[-1]
    losses = [name for name in ("train_loss", "validation_loss") if is_number(last.get(name))]
    watched = f"validation_{(train.get('monitor') or {}).get('name')}"
    rest = [name for name in last if name.startswith("validation_") and name not in losses and is_number(last[name])]
    rest.sort(key=lambda name: name != watched)
    groups = ([losses] if losses else []) + [[name] for name in rest[:3]]
    if "pretrain_loss" in history[0]:
        groups.insert(0, ["pretrain_loss"])
    # An even number of pictures fills the rows of the page.
    if len(groups) % 2 and "lr" in last:
        groups.append(["lr"])
    return [_learning(history, group, train.get("best_epoch"), titles) for group in groups]


def _learning(history: Sequence[Plain], names: Sequence[str], best: Any, titles: Mapping[str, str]) -> Figure:
    epochs = [float(i) for i in range(1, len(history) + 1)]
    columns = _of(history, *names)
    ticks = [tick for tick in nice_ticks(1, len(history)) if 1 <= tick <= len(history) and tick == round(tick)]
    x = Axis("epoch", 1.0, float(len(history)), ticks, lambda value: f"{value:g}")
    known = {
        "lr": "Learning rate",
        "pretrain_loss": "Pretraining loss",
        "train_loss": "training",
        "validation_loss": "validation",
    }
    labels = [known.get(name) or titles.get(bare, bare) for name in names for bare in [name.removeprefix("validation_")]]
    title = "Loss" if names[0] in ("train_loss", "validation_loss") else labels[0]
    chart = Chart(f"{title} by epoch", x, Axis.over(title, [value for column in columns for value in column]))
    keys = [Key(1, label, True) if name.startswith("train") else Key(0, label) for name, label in zip(names, labels, strict=True)]
    for column, key in zip(columns, keys, strict=True):
        chart.line(_points(epochs, column), key.series, key.dashed)
        if len(epochs) <= 60:
            tips = [f"epoch {epoch:g}: {key.label} {amount(value)}" for epoch, value in zip(epochs, column, strict=True)]
            chart.dots(_points(epochs, column), key.series, tips, radius=2.2)
    if is_number(best):
        chart.upright(float(best) + 1, "kept")
    reading = {
        "Loss": "What training makes small, by epoch.",
        "Learning rate": "The step size, by epoch.",
        "Pretraining loss": "What pretraining makes small, by epoch.",
    }
    kept = " The model of the marked epoch was kept." if is_number(best) else ""
    where = reading.get(title, "On the validation part, by epoch.")
    return figure(title, where + kept, chart, *(keys if len(keys) > 1 else ()))


def detail(data: Plain) -> Figure | None:
    """A curve that a task brings; None where it brings a table."""
    rows = data.get("rows") or []
    if not data.get("curve") or len(rows) < 2:
        return None
    across, *columns = [[float(row[at]) for row in rows] for at in range(len(data["columns"]))]
    ticks = [tick for tick in nice_ticks(across[0], across[-1]) if across[0] <= tick <= across[-1]]
    x = Axis(data["columns"][0], across[0], across[-1], ticks, lambda value: f"{value:g}")
    chart = Chart(data["title"], x, Axis.over(", ".join(data["columns"][1:]), [0.0, *(v for column in columns for v in column)]))
    keys = [Key(series, name) for series, name in enumerate(data["columns"][1:])]
    for column, key in zip(columns, keys, strict=True):
        chart.line(_points(across, column), key.series)
    return figure(data["title"], data["reading"], chart, *(keys if len(keys) > 1 else ()))


# -- binary ---------------------------------------------------------------------------------------------------------


def gains(curves: Plain, rate: Any, positives: str) -> Figure | None:
    data = _series(curves.get("gains") or {}, "share_of_rows", "share_of_positives")
    if not data:
        return None
    rows, caught = data
    chart = Chart(
        "Cumulative gains: share of positives caught by share of rows picked",
        shares("picked, best first"),
        shares("caught"),
    )
    keys = [Key(0, "this model"), Key(9, "at random", True)]
    if is_number(rate) and 0 < rate < 1:
        chart.line([(0, 0), (rate, 1), (1, 1)], 2, dashed=True)
        keys.insert(1, Key(2, "perfect", True))
    chart.diagonal((0, 0), (1, 1)).line(_points(rows, caught), 0)
    marks = [(share, at(rows, caught, share)) for share in (0.1, 0.2, 0.3, 0.5)]
    chart.dots(marks, 0, [f"the top {share:.0%} hold {value:.1%} of {positives}" for share, value in marks])
    return figure("Gains", f"Pick the best-ranked part of the list: how much of all {positives} is in it.", chart, *keys)


def at(x: Sequence[float], y: Sequence[float], where: float) -> float:
    """The value of a curve with rising x, interpolated.

    >>> at([0.0, 0.5, 1.0], [0.0, 0.8, 1.0], 0.25)
    0.4
    """
    for (x0, y0), (x1, y1) in zip(_points(x, y), _points(x, y)[1:], strict=False):
        if x0 <= where <= x1:
            return y0 if x1 == x0 else y0 + (y1 - y0) * (where - x0) / (x1 - x0)
    return float("nan")


def lift(curves: Plain, positives: str) -> Figure | None:
    deciles = curves.get("deciles") or []
    if not deciles:
        return None
    numbers, lifts = _of(deciles, "decile", "lift")
    y = Axis.over("lift over average", [*lifts, 1.0], lambda value: f"{value:g}×", zero=True)
    n = len(deciles)
    x = Axis("tenth of the list, best first", 0.5, n + 0.5, numbers, lambda value: f"{value:g}")
    tips = [
        f"tenth {row.get('decile')}: lift {decimal(row.get('lift'), 2)}, observed {percent(row.get('observed'))}, "
        f"predicted {percent(row.get('mean_predicted'))}, {count(row.get('n'))} rows, "
        f"{percent(row.get('cumulative_share'))} caught so far"
        for row in deciles
    ]
    chart = Chart("Lift by tenth of the list", x, y).bars([number - 0.5 for number in [*numbers, n + 1.0]], lifts, 0, tips)
    chart.diagonal((0.5, 1.0), (n + 0.5, 1.0))
    return figure("Lift", f"How many times more {positives} each tenth of the list holds than a random tenth (dashed).", chart)


def roc(curves: Plain) -> Figure | None:
    curve = curves.get("roc") or {}
    chart = Chart("ROC curve", shares("false positive rate"), shares("true positive rate")).diagonal((0, 0), (1, 1))
    by_class = curve.get("by_class")
    if by_class:
        sizes = {row.get("class"): row.get("n", 0) for row in curves.get("by_class") or []}
        shown = sorted(by_class.items(), key=lambda item: -sizes.get(item[0], 0))[:6]
        keys = []
        for i, (name, one) in enumerate(shown):
            data = _series(one, "false_positive_rate", "true_positive_rate")
            if data:
                chart.line(_points(*data), i, title=name)
                keys.append(Key(i, f"{name} ({decimal(one.get('area'))})"))
        more = f" The {len(shown)} largest of {len(by_class)} classes." if len(by_class) > len(shown) else ""
        return figure("ROC by class", f"Each class against all others, with the area under its curve.{more}", chart, *keys)
    data = _series(curve, "false_positive_rate", "true_positive_rate")
    if not data:
        return None
    chart.line(_points(*data), 0)
    return figure("ROC", f"Area under the curve {decimal(curve.get('area'))}; the dashed line is chance.", chart)


def precision_recall(curves: Plain) -> Figure | None:
    curve = curves.get("precision_recall") or {}
    data = _series(curve, "recall", "precision")
    if not data:
        return None
    chart = Chart("Precision by recall", shares("recall: share of positives caught"), shares("precision"))
    if is_number(curve.get("rate")):
        chart.diagonal((0, curve["rate"]), (1, curve["rate"]))
    chart.line(_points(*data), 0)
    return figure(
        "Precision and recall",
        f"Area {decimal(curve.get('area'))}; the dashed line is the share of positives, which guessing gives.",
        chart,
    )


def thresholds(curves: Plain, threshold: Any) -> Figure | None:
    data = _series(curves.get("thresholds") or {}, "threshold", "precision", "recall", "f1", "flagged")
    if not data:
        return None
    x, *lines = data
    chart = Chart("Precision, recall, F1 and share flagged by threshold", shares("threshold on the probability"), shares("share"))
    names = ("precision", "recall", "F1", "flagged")
    for i, line in enumerate(lines):
        chart.line(_points(x, line), i, dashed=i == 3)
    if is_number(threshold):
        chart.upright(float(threshold), f"in the file: {decimal(threshold)}")
    return figure(
        "Choosing the threshold",
        "What another threshold would give: rows at or above it are flagged.",
        chart,
        *(Key(i, name, i == 3) for i, name in enumerate(names)),
    )


def calibration(curves: Plain, kind: str, unit: str = "") -> Figure | None:
    bins = curves.get("calibration") or []
    if not bins:
        return None
    predicted, observed, low, high = _of(bins, "mean_predicted", "observed", "low", "high")
    if kind == "regression":
        axis = Axis.over(f"mean predicted{f' ({unit})' if unit else ''}", predicted + observed + low + high)
        x, y = axis, Axis(f"mean actual{f' ({unit})' if unit else ''}", axis.low, axis.high, axis.ticks)
        reading = "Rows in tenths by prediction: what was predicted on average, and what came. On the dashed line both agree."
        write = amount
    else:
        x, y, write = shares("predicted probability"), shares("observed share"), percent
        reading = "When the file says 30 %, does it happen in 30 % of cases? On the dashed line it does; whiskers are intervals."
        if kind == "multiclass":
            reading += " Of the most likely class."
    chart = Chart("Calibration: observed by predicted", x, y).diagonal((x.low, y.low), (x.high, y.high))
    for where, bottom, top in zip(predicted, low, high, strict=True):
        chart.whisker(where, bottom, top)
    tips = [
        f"predicted {write(row.get('mean_predicted'))}, observed {write(row.get('observed'))} "
        f"({write(row.get('low'))} to {write(row.get('high'))}), {count(row.get('n'))} rows"
        for row in bins
    ]
    chart.line(_points(predicted, observed), 0).dots(_points(predicted, observed), 0, tips)
    return figure("Calibration", reading, chart)


def scores(curves: Plain, threshold: Any) -> Figure | None:
    data = curves.get("scores") or {}
    edges, counts = data.get("edges") or [], data.get("counts") or {}
    if len(edges) < 2 or not counts:
        return None
    densities = {name: [value / (sum(values) or 1) for value in values] for name, values in counts.items()}
    most = max((value for values in densities.values() for value in values), default=0) or 1
    y = Axis.over("share of the class", [0, most], lambda value: f"{value:.0%}")
    chart = Chart("Predicted probabilities by actual class", shares("predicted probability"), y)
    for i, (name, values) in enumerate(counts.items()):
        tips = [f"{edges[j]:.0%} to {edges[j + 1]:.0%}: {count(value)} rows of {name}" for j, value in enumerate(values)]
        chart.bars(edges, densities[name], _apart(i), tips)
    if is_number(threshold):
        chart.upright(float(threshold), "threshold")
    keys = (Key(_apart(i), str(name)) for i, name in enumerate(counts))
    reading = "Which probabilities the rows of each class got; the further apart the two hills, the better."
    return figure("Predicted probabilities", reading, chart, *keys)


def _apart(i: int) -> int:
    """The negatives first and pale, the positives in the model's colour."""
    return (9, 0)[i] if i < 2 else i


# -- regression -----------------------------------------------------------------------------------------------------


def predicted_actual(curves: Plain, unit: str) -> Figure | None:
    data = _series(curves.get("predicted_actual") or {}, "predicted", "actual")
    if not data:
        return None
    predicted, actual = data
    in_unit = f" ({unit})" if unit else ""
    axis = Axis.over(f"predicted{in_unit}", [*_core(predicted), *_core(actual)])
    chart = Chart("Actual by predicted", axis, Axis(f"actual{in_unit}", axis.low, axis.high, axis.ticks))
    inside = [(p, a) for p, a in _points(predicted, actual) if axis.low <= p <= axis.high and axis.low <= a <= axis.high]
    chart.dots(inside[:1500], 0, radius=2.0).diagonal((axis.low, axis.low), (axis.high, axis.high))
    left = len(predicted) - len(inside)
    note = f" {count(left)} of {count(len(predicted))} rows lie outside the picture." if left else ""
    return figure(
        "Predicted and actual", f"Each dot is a row of a sample; on the dashed line the prediction is exact.{note}", chart
    )


def _core(values: Sequence[float]) -> list[float]:
    """Without the outermost percent on either side, which would squeeze all others into a corner."""
    ordered = sorted(value for value in values if value == value)
    skip = len(ordered) // 100
    return ordered[skip : len(ordered) - skip] or [0.0, 1.0]


def residuals(curves: Plain, unit: str) -> Figure | None:
    data = curves.get("residuals") or {}
    edges, counts = data.get("edges") or [], data.get("counts") or []
    if len(edges) < 2 or len(counts) != len(edges) - 1:
        return None
    x = Axis.over(f"actual minus predicted{f' ({unit})' if unit else ''}", edges)
    chart = Chart("Residuals", x, Axis.over("rows", [0, *counts], count))
    tips = [f"{amount(edges[i])} to {amount(edges[i + 1])}: {count(value)} rows" for i, value in enumerate(counts)]
    return figure(
        "Residuals",
        "Right of zero the model said too little, left of it too much.",
        chart.bars(edges, counts, 0, tips).upright(0, "exact"),
    )


def error_by_tenth(curves: Plain, unit: str) -> Figure | None:
    bins = curves.get("calibration") or []
    if not bins:
        return None
    predicted, observed = _of(bins, "mean_predicted", "observed")
    errors = [actual - said for said, actual in zip(predicted, observed, strict=True)]
    n = len(bins)
    y = Axis.over(f"mean actual minus predicted{f' ({unit})' if unit else ''}", errors, zero=True)
    x = Axis("tenth by prediction, smallest first", 0.5, n + 0.5, [float(i) for i in range(1, n + 1)], lambda value: f"{value:g}")
    tips = [f"tenth {i}: predicted {amount(p)}, actual {amount(a)}" for i, (p, a) in enumerate(_points(predicted, observed), 1)]
    chart = Chart("Error by tenth of the predictions", x, y).bars([i + 0.5 for i in range(n + 1)], errors, 0, tips)
    return figure(
        "Error by tenth",
        "Where predictions are small or large, are they off in one direction?",
        chart.diagonal((0.5, 0), (n + 0.5, 0)),
    )


# -- several runs ---------------------------------------------------------------------------------------------------


def overlaid(curves: Sequence[Plain], names: Sequence[str]) -> list[Figure]:
    """The same curve of several runs in one picture, for each curve that at least one run has; six runs at most."""
    kinds = (
        ("gains", "Gains", "share_of_rows", "share_of_positives", shares("picked, best first"), shares("caught")),
        ("roc", "ROC", "false_positive_rate", "true_positive_rate", shares("false positive rate"), shares("true positive rate")),
        ("precision_recall", "Precision and recall", "recall", "precision", shares("recall"), shares("precision")),
    )
    pictures = []
    for kind, title, across, up, x, y in kinds:
        chart, keys = Chart(f"{title} of {len(names)} runs", x, y), []
        for i, (curve, name) in enumerate(zip(curves[:6], names, strict=False)):
            data = _series(curve.get(kind) or {}, across, up)
            if data:
                chart.line(_points(*data), i, title=name)
                keys.append(Key(i, name))
        if keys:
            more = " The first six runs." if len(curves) > 6 else ""
            pictures.append(figure(title, f"On the test part of each run.{more}", chart, *keys))
    return [*pictures, *filter(None, [_calibrations(curves[:6], names)])]


def _calibrations(curves: Sequence[Plain], names: Sequence[str]) -> Figure | None:
    lines = {
        name: _of(curve["calibration"], "mean_predicted", "observed")
        for name, curve in zip(names, curves, strict=False)
        if curve.get("calibration")
    }
    values = [value for line in lines.values() for column in line for value in column]
    if not values:
        return None
    are_shares = all(0 <= value <= 1 for value in values)
    x = shares("mean predicted") if are_shares else Axis.over("mean predicted", values)
    chart = Chart("Calibration of the runs", x, Axis("observed", x.low, x.high, x.ticks, x.write)).diagonal(
        (x.low, x.low), (x.high, x.high)
    )
    keys = [Key(i, name) for i, name in enumerate(names) if name in lines]
    for key in keys:
        chart.line(_points(*lines[key.label]), key.series, title=key.label).dots(
            _points(*lines[key.label]), key.series, radius=2.5
        )
    return figure("Calibration", "What was predicted on average, and what came. On the dashed line both agree.", chart, *keys)
