"""The result in plain words: what a reader should remember after closing the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shopkit.report.facts import Facts
from shopkit.report.figures import at
from shopkit.report.formats import count, decimal, is_number, percent, quantity

Plain = Mapping[str, Any]

TOP = 0.2
"""The share of the list that the headline of a ranking speaks of."""

PRIMARY = {"binary": ("auroc",), "multiclass": ("accuracy", "f1_macro"), "regression": ("mae",), "ranking": ("ndcg",)}
"""The metric a task is judged by, first that is there."""

SHARES = frozenset({"accuracy", "precision", "recall", "wape"})
"""Metrics that are shares of something, written in per cent."""


YES = ("1", "true", "yes", "y")
"""Positive classes that say no more than the target's name."""

_PRINTED = (
    *(
        "auroc",
        "accuracy",
        "auroc_macro",
        "average_precision",
        "f1",
        "f1_macro",
        "precision",
        "precision_macro",
        "recall",
        "recall_macro",
    ),
    *("ndcg", "mrr", "log_loss", "brier", "calibration_error", "mae", "rmse", "wape", "r2"),
)
_ORDER = {name: i for i, name in enumerate(_PRINTED)}
_SIMPLEST = ("constant", "linear")


@dataclass(frozen=True)
class Verdict:
    """The model against one baseline."""

    level: str
    """`good`, `even` or `bad`."""
    text: str


@dataclass(frozen=True)
class Headline:
    """The top of the report."""

    title: str
    lead: str
    verdicts: tuple[Verdict, ...]
    primary: str
    """Key of the metric the run is judged by; empty if none was measured."""


def measured_on(part: str, metrics: Plain) -> dict[str, Plain]:
    """Metrics of a part in print order: JSON with sorted keys does not keep the order they were made in."""
    measured, watched = (metrics.get("metrics") or {}).get(part) or {}, metrics.get("primary")
    order = sorted(measured, key=lambda name: (_ORDER.get(name, len(_ORDER)), name != watched, name))
    return {name: measured[name] for name in order}


def baselines_of(metrics: Plain) -> dict[str, Plain]:
    """Baselines from the simplest on."""
    found = metrics.get("baselines") or {}
    return {name: found[name] for name in sorted(found, key=lambda name: ((*_SIMPLEST, name).index(name), name))}


def primary_metric(metrics: Plain) -> str:
    """The key of the metric the run is judged by."""
    measured = measured_on("test", metrics)
    wanted = [*PRIMARY.get(str(metrics.get("kind")), ()), str(metrics.get("primary")), *measured]
    return next((name for name in wanted if is_number((measured.get(name) or {}).get("value"))), "")


def written(name: str, value: Any, unit: str = "") -> str:
    """A metric's value, in the way it is usually written.

    >>> written("auroc", 0.9123), written("accuracy", 0.893), written("mae", 12.345, "USD")
    ('0.912', '89.3\\xa0%', '12.35\\xa0USD')
    """
    if name in SHARES:
        return percent(value)
    if name in ("mae", "rmse"):
        return quantity(value) + (f"\u00a0{unit}" if unit and is_number(value) else "")
    return decimal(value)


def unit_of(metrics: Plain) -> str:
    """Of what a run predicts, empty where it has none."""
    return str((metrics.get("target") or {}).get("unit") or "")


def interval(name: str, estimate: Plain, unit: str = "") -> str:
    """`0.901 to 0.922`, or nothing if no interval was computed."""
    low, high = estimate.get("low"), estimate.get("high")
    if not (is_number(low) and is_number(high)):
        return ""
    return f"{written(name, low)} to {written(name, high, unit)}".replace("\u00a0% to", " to")


def change(name: str, difference: Plain, unit: str = "") -> str:
    """A difference of two values with its interval: `+2.3 points (1.3 to 3.3)`."""
    if not is_number(difference.get("value")):
        return ""
    sign = "+" if difference["value"] > 0 else ""
    span = interval(name, difference)
    text = sign + written(name, difference["value"], unit) + (f" ({span})" if span else "")
    return text.replace("\u00a0%)", ")").replace("\u00a0%", "\u00a0points")


def title_of(metrics: Plain, name: str) -> str:
    """How a metric is called."""
    return str(((metrics.get("about") or {}).get(name) or {}).get("title") or name.replace("_", " "))


def positives_of(facts: Facts) -> str:
    """The positive class in words: cases of “status = returned”, or of “buys” where the class only says yes."""
    positive = str((facts.metrics.get("target") or {}).get("positive", "yes"))
    return f"cases of “{facts.target}”" if positive.lower() in YES else f"cases of “{facts.target} = {positive}”"


def headline(facts: Facts) -> Headline:
    """From the metrics of the test part."""
    metrics = facts.metrics
    name = primary_metric(metrics)
    writers = {"binary": _binary, "multiclass": _multiclass, "regression": _regression, "ranking": _ranking}
    title, lead = writers.get(facts.kind, _other)(facts) if name else (facts.name.replace("_", " "), "")
    return Headline(title, lead, tuple(_verdicts(metrics, name)) if name else (), name)


def _binary(facts: Facts) -> tuple[str, str]:
    metrics = facts.metrics
    gains = (metrics.get("curves") or {}).get("gains") or {}
    rows, caught = gains.get("share_of_rows") or [], gains.get("share_of_positives") or []
    tests = _n_test(metrics)
    if len(rows) < 2 or len(rows) != len(caught):
        estimate = metrics["metrics"]["test"][primary_metric(metrics)]
        return f"Ranks with an AUROC of {decimal(estimate['value'])}", f"Measured on {tests}."
    share, picked = at(rows, caught, TOP), positives_of(facts)
    rate = ((metrics.get("target") or {}).get("rate") or {}).get("test")
    average = f" {percent(rate)} of these rows are {picked}." if is_number(rate) else ""
    if is_number(rate) and rate > TOP:
        # Where positives outnumber the places in the list, the share of them that it holds says little.
        title = f"{share * rate / TOP:.0%} of the top {TOP:.0%} are {picked}, against {rate:.0%} overall"
        return title.replace("%", "\u00a0%"), f"Rank by probability and start at the top. Measured on {tests}."
    title = f"The top {TOP:.0%} of the list catch {share:.0%} of all {picked}".replace("%", "\u00a0%")
    return title, f"That is {share / TOP:.1f} times what picking at random would catch, measured on {tests}.{average}"


def _multiclass(facts: Facts) -> tuple[str, str]:
    metrics = facts.metrics
    name = primary_metric(metrics)
    classes = (metrics.get("target") or {}).get("classes") or []
    value = metrics["metrics"]["test"][name]["value"]
    constant = _baseline_value(metrics, "constant", name)
    beside = f"; always naming the commonest is right for {written(name, constant)}" if is_number(constant) else ""
    if name != "accuracy":
        return f"{title_of(metrics, name)} of {decimal(value)}", f"Measured on {_n_test(metrics)}."
    return (
        f"Names the right one of {count(len(classes))} classes for {percent(value)} of rows",
        f"Measured on {_n_test(metrics)}{beside}.",
    )


def _regression(facts: Facts) -> tuple[str, str]:
    metrics = facts.metrics
    name, target = primary_metric(metrics), metrics.get("target") or {}
    unit = unit_of(metrics)
    value, constant = metrics["metrics"]["test"][name]["value"], _baseline_value(metrics, "constant", name)
    title = f"Off by {written(name, value, unit)} on average"
    if is_number(constant) and constant > 0 and name == "mae":
        title += f", {percent(abs(1 - value / constant), 0)} {'less' if value <= constant else 'more'} than a constant guess"
    mean = (target.get("mean") or {}).get("test")
    average = f" The mean of {facts.target} there is {quantity(mean)}{f' {unit}' if unit else ''}." if is_number(mean) else ""
    return title, f"Mean absolute error on {_n_test(metrics)}.{average}"


def _ranking(facts: Facts) -> tuple[str, str]:
    metrics = facts.metrics
    name, target = primary_metric(metrics), metrics.get("target") or {}
    title = f"Orders each group with an {title_of(metrics, name)} of {decimal(metrics['metrics']['test'][name]['value'])}"
    constant = _baseline_value(metrics, "constant", name)
    if is_number(constant):
        title += f", against {decimal(constant)} in random order"
    groups, empty = ((target.get(key) or {}).get("test") for key in ("groups", "groups_without_relevant"))
    among = f" in {count(groups)} groups" if is_number(groups) else ""
    left_out = f" {count(empty)} of the groups have no relevant row and are left out." if empty else ""
    return title, f"1 is the best possible order. Measured on {_n_test(metrics)}{among}.{left_out}"


def _other(facts: Facts) -> tuple[str, str]:
    metrics = facts.metrics
    name = primary_metric(metrics)
    meaning = str(((metrics.get("about") or {}).get(name) or {}).get("meaning") or "")
    said = f"That is: {meaning}. " if meaning else ""
    return f"{title_of(metrics, name)} of {written(name, metrics['metrics']['test'][name]['value'])}", (
        f"{said}Measured on {_n_test(metrics)}."
    )


def _n_test(metrics: Plain) -> str:
    n = (metrics.get("n_rows") or {}).get("test")
    return f"{count(n)} rows that were not used in training" if is_number(n) else "rows that were not used in training"


def _baseline_value(metrics: Plain, baseline: str, name: str) -> Any:
    measured = ((metrics.get("baselines") or {}).get(baseline) or {}).get("metrics") or {}
    return (measured.get(name) or {}).get("value")


LEVELS = {"better": "good", "equal": "even", "worse": "bad"}
WORDS = {"better": "better than", "equal": "not distinguishable from", "worse": "worse than"}


def _verdicts(metrics: Plain, name: str) -> list[Verdict]:
    """One sentence for each baseline, on the primary metric."""
    unit = unit_of(metrics)
    verdicts = []
    for baseline, result in baselines_of(metrics).items():
        difference = (result.get("difference") or {}).get(name) or {}
        word = difference.get("verdict")
        if word not in WORDS or not is_number(difference.get("value")):
            continue
        text = (
            f"{WORDS[word].capitalize()} {baseline_title(baseline)}: {title_of(metrics, name)} {change(name, difference, unit)}"
        )
        verdicts.append(Verdict(LEVELS[word], text))
    return verdicts


def baseline_title(name: str) -> str:
    """A baseline's name in words."""
    return {"constant": "the constant guess", "linear": "a linear model", "lightgbm": "LightGBM", "gbdt": "boosted trees"}.get(
        name, name.replace("_", " ")
    )
