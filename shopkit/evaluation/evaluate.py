"""All that is measured of one exported file, as plain JSON data for `metrics.json` and the report.

`evaluate` returns a dict that `json.dumps` takes as it is (a value that does not exist, such as AUROC with one class, is
None, never NaN). Equal inputs give an equal dict, so speed is not in it: `shopkit.evaluation.latency.measure_latency`
gives that apart. Keys that depend on the task are marked; a key whose inputs are missing is left out or empty as said here.

    {
      "kind": "binary",                       # binary | multiclass | regression | ranking | other
      "n_rows": {"train": 24000, "validation": 6000, "test": 6000},
      "sampled": {"test": 5000},              # parts of which only so many rows, evenly spaced, were looked at for what is
                                              # said of columns: importance, segments, drift, columns that leak, details
      "target": {                             # binary
        "classes": ["no", "yes"], "positive": "yes",
        "rate": {"train": 0.151, "validation": 0.148, "test": 0.155},           # share of positives
        # multiclass: "classes": [...], "rate": {"train": {"a": 0.2, ...}, ...}
        # regression: "mean": {"train": 31.2, ...}, "std": {...}, "unit": "USD"
        # ranking: "groups": {"train": 900, ...}, "groups_without_relevant": {...} (left out of the metrics)
      },
      "decision": {...},                      # the task's state: classes, calibration, threshold (plain JSON)
      "interval": {"confidence": 0.95, "n_bootstrap": 500, "unit": "groups", "n_units": 2063,
                   "method": "bias-corrected percentile"},
                                              # unit: "rows", or "groups" where customers recur and are resampled whole
      "about": {                              # each metric that occurs below: how to print and read it
        "auroc": {"title": "AUROC", "better": "higher", "meaning": "chance that a positive is ranked above a negative",
                  "least": 0, "most": 1},
      },                                      # better: "higher" | "lower"; least, most: its range, None where it has no end
      "metrics": {                            # in print order
        "test":       {"auroc": {"value": 0.912, "low": 0.901, "high": 0.922}, ...},
        "validation": {"auroc": {"value": 0.915, "low": 0.905, "high": 0.925}, ...},
      },
      "baselines": {                          # same test rows; "constant" is always there, then those given
        "constant": {
          "metrics":    {"auroc": {"value": 0.5, "low": 0.5, "high": 0.5}, ...},
          "difference": {"auroc": {"value": 0.412, "low": 0.401, "high": 0.422, "verdict": "better"}, ...},
        },                                    # model minus baseline, paired on the same resamples;
      },                                      # verdict of the model: "better" | "worse" | "equal" (interval holds 0), or None
      "protocol": "",                         # how it was measured, where there is more than one way; else ""
      "primary": "auroc",                     # the metric that training watched, or None where the file is not measured by it
      "details": [                            # what only the task knows to show, of the test part
        {"title": "...", "reading": "...", "columns": ["k", "coverage"], "rows": [[1, 0.2], ...], "curve": True},
      ],
      "curves": {                             # of the test part; every curve at most 500 points
        # binary
        "roc": {"false_positive_rate": [0.0, ...], "true_positive_rate": [0.0, ...], "area": 0.912},
        "precision_recall": {"recall": [...], "precision": [...], "threshold": [...], "rate": 0.155, "area": 0.71},
        "thresholds": {"threshold": [...], "precision": [...], "recall": [...], "f1": [...], "flagged": [...]},
        "gains": {"share_of_rows": [0.0, ..., 1.0], "share_of_positives": [0.0, ..., 1.0], "lift": [...]},
        "deciles": [{"decile": 1, "n": 600, "mean_predicted": 0.71, "observed": 0.69, "lift": 4.4, "cumulative_share": 0.44}],
        "scores": {"edges": [0.0, 0.02, ..., 1.0], "counts": {"no": [...], "yes": [...]}},
        # binary and multiclass (multiclass: of the most likely class)
        "calibration": [{"mean_predicted": 0.12, "observed": 0.11, "low": 0.09, "high": 0.14, "n": 600}, ...],
        "confusion": {"classes": ["no", "yes"], "counts": [[5000, 70], [300, 630]], "threshold": 0.31},
                                              # counts[actual][predicted]; "threshold" for binary only
        # multiclass
        "roc": {"by_class": {"a": {"false_positive_rate": [...], "true_positive_rate": [...], "area": 0.9}, ...}},
        "by_class": [{"class": "a", "n": 210, "precision": 0.8, "recall": 0.7, "f1": 0.75, "auroc": 0.9}, ...],
        # regression
        "predicted_actual": {"predicted": [...], "actual": [...]},                # sample of rows
        "calibration": [{"mean_predicted": 12.1, "observed": 11.7, "low": 11.2, "high": 12.3, "n": 600}, ...],
        "residuals": {"edges": [...], "counts": [...]},                           # actual minus predicted
        "absolute_error": {"quantile": [0.5, 0.8, 0.9, 0.95, 0.99], "value": [3.1, ...]},
      },
      "segments": [                           # one entry a column, empty when no column serves
        {"column": "VisitorType", "kind": "string", "rows": [
          {"segment": "Returning_Visitor", "n": 5200, "share": 0.87,
           "metrics": {"auroc": {"value": 0.9, "low": 0.89, "high": 0.91}, ...}, "target": 0.14, "predicted": 0.15}, ...]},
      ],                                      # target, predicted: means (binary: rates); both None for multiclass
      "importance": {                         # None when no `predict` is given or permutation_repeats is 0
        "metric": "auroc", "n_rows": 2000, "n_repeats": 5,
        "columns": [{"column": "PageValues", "value": 0.12, "low": 0.11, "high": 0.13}, ...],   # falling; loss when shuffled
      },
      "drift": [                              # train against test, falling by psi; empty without a training part
        {"column": "Month", "kind": "string", "psi": 0.31, "ks": None, "missing_train": 0.0, "missing_test": 0.01,
         "unseen": 0.02, "level": "large"},   # ks: numbers and times only; unseen: strings only; level: none | moderate | large;
                                              # kind "text": its length is compared, as its values do not come again
      ],
      "audit": [                              # warnings, worst first; empty is good
        {"check": "one_column_predicts", "severity": "warning", "column": "refund_id", "value": 0.998,
         "message": "Column 'refund_id' alone predicts the target nearly perfectly (AUROC 0.998). ..."},
      ],                                      # severity: "error" | "warning" | "info"; column may be ""
    }
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from statistics import NormalDist
from typing import Any

import numpy as np

from shopkit.evaluation import curves
from shopkit.evaluation.audit import audit
from shopkit.evaluation.bootstrap import METHOD, Resamples, Samples, estimate, interval, resample
from shopkit.evaluation.drift import drift
from shopkit.evaluation.fingerprints import Fingerprints
from shopkit.evaluation.importance import permutation_importance
from shopkit.evaluation.part import Outputs, Part, Predict
from shopkit.evaluation.segments import measured, segment_metrics
from shopkit.evaluation.settings import EvaluationSettings
from shopkit.progress import inside
from shopkit.tasks.base import Detail, Metric, Task


def evaluate(
    task: Task,
    parts: Mapping[str, Part],
    *,
    settings: EvaluationSettings,
    predict: Predict | None = None,
    baselines: Mapping[str, Outputs] | None = None,
    seed: int = 0,
    samples: Mapping[str, Part] | None = None,
    fingerprints: Mapping[str, Fingerprints] | None = None,
) -> dict[str, Any]:
    """Everything of the module's docstring.

    Args:
        task: fitted.
        parts: `train`, `validation` and `test`; `test` (and `validation`, where given) hold the file's outputs.
        settings: how much is measured.
        predict: raw columns → outputs through the exported file, for importance.
        baselines: name → outputs for the rows of the test part.
        seed: of resamples, shuffles and samples.
        samples: rows of each part with their columns, where `parts` holds all rows but not their columns: what is said of columns
            is measured on them.
        fingerprints: of all rows of each part, for the audit; made of `parts` if not given.
    """
    test = parts["test"]
    kind = kind_of(task)
    statistics = {"model": test.outputs, "constant": task.constant_outputs(len(test)), **(baselines or {})}
    compared = _compare(task, test, statistics, settings, seed)
    metrics = {"test": compared.pop("model")["metrics"]}
    if "validation" in parts and parts["validation"].outputs:
        metrics["validation"] = measured(task, parts["validation"], settings, seed)
    samples = samples or parts
    some = samples["test"]
    importance = permutation_importance(task, some, predict, settings, seed) if predict else None
    order = [entry["column"] for entry in importance["columns"] if entry["column"] in some.raw] if importance else []
    resamples = Resamples(len(test), 0, seed, test.groups)
    with inside("segments"):
        segments = segment_metrics(task, some, settings, seed, order)
    return {
        "kind": kind,
        "n_rows": {name: len(part) for name, part in parts.items()},
        "sampled": {name: len(part) for name, part in samples.items() if len(part) < len(parts[name])},
        "target": _target(task, kind, parts),
        "decision": task.state,
        "interval": {
            "confidence": settings.confidence,
            "n_bootstrap": settings.n_bootstrap,
            "unit": resamples.unit,
            "n_units": resamples.n_units,
            "method": METHOD,
        },
        "about": {name: about(task, name) for name in metrics["test"]},
        "metrics": metrics,
        "baselines": compared,
        "protocol": task.protocol(some.columns, some.outputs),
        "primary": task.monitor.name if task.monitor.name in metrics["test"] else None,
        "details": [_plain(detail) for detail in task.details(some.columns, some.outputs, some.target)],
        "curves": _curves(task, kind, test, settings, seed),
        "segments": segments,
        "importance": importance,
        "drift": drift(samples["train"].raw, some.raw, some.groups) if "train" in samples else [],
        "audit": audit(
            parts,
            settings,
            # Of what is neither a class of a few nor an amount, as an item of a catalogue, AUROC and R² say nothing.
            n_classes=None if kind == "other" else len(task.state.get("classes", ())),
            seed=seed,
            sample=samples["train"],
            fingerprints=fingerprints,
        )
        if "train" in parts
        else [],
    }


def _plain(detail: Detail) -> dict[str, Any]:
    return {**asdict(detail), "columns": list(detail.columns), "rows": [list(row) for row in detail.rows]}


def kind_of(task: Task) -> str:
    """`binary`, `multiclass`, `regression`, `ranking`, or `other`, by the outputs the task names."""
    outputs = {output.name: output for output in task.outputs}
    if "probability" in outputs and "label" in outputs and "classes" in task.state:
        return "multiclass" if outputs["probability"].classes else "binary"
    if "score" in outputs and "ndcg" in task.described:
        return "ranking"
    return "regression" if "prediction" in outputs else "other"


def about(task: Task, name: str) -> dict[str, Any]:
    """How a metric is printed and read, plain data."""
    metric = task.described.get(name, Metric(name, "higher", ""))
    return {
        "title": metric.title,
        "better": metric.better,
        "meaning": metric.meaning,
        "least": metric.least,
        "most": metric.most,
    }


def _target(task: Task, kind: str, parts: Mapping[str, Part]) -> dict[str, Any]:
    def over_parts(statistic: Any) -> dict[str, Any]:
        return {name: statistic(part) if len(part) else None for name, part in parts.items()}

    def mean(part: Part) -> float:
        return float(np.average(part.target.astype(np.float64), weights=part.weight))

    if kind == "binary":
        classes = list(task.state["classes"])
        return {"classes": classes, "positive": classes[1], "rate": over_parts(mean)}
    if kind == "multiclass":
        classes = list(task.state["classes"])

        def shares(part: Part) -> dict[str, float]:
            counts = np.bincount(part.target.astype(np.int64), part.weight, minlength=len(classes)).astype(np.float64)
            return dict(zip(classes, (counts / counts.sum()).tolist(), strict=True))

        return {"classes": classes, "rate": over_parts(shares)}
    if kind == "regression":

        def spread(part: Part) -> float:
            return float(np.sqrt(np.average((part.target.astype(np.float64) - mean(part)) ** 2, weights=part.weight)))

        return {"mean": over_parts(mean), "std": over_parts(spread), "unit": task.outputs[0].unit}
    if kind == "ranking":

        def n_groups(part: Part) -> int:
            return len(np.unique(part.within)) if part.within is not None else 0

        def n_without(part: Part) -> int:
            return n_groups(part) - n_groups(part.take(part.target > 0))

        return {"groups": over_parts(n_groups), "groups_without_relevant": over_parts(n_without)}
    return {}


def _compare(
    task: Task, test: Part, outputs: Mapping[str, Outputs], settings: EvaluationSettings, seed: int
) -> dict[str, dict[str, Any]]:
    """Predictor → its `metrics`, and for all but `model` the `difference` to it; everyone on the same resamples."""
    resamples = Resamples(len(test), settings.n_bootstrap, seed, test.groups, test.weight)
    measuring = task.grouped_by(test.within)
    statistics = {name: measuring.statistics(values, test.target) for name, values in outputs.items()}
    centres = {name: statistic(resamples.whole) for name, statistic in statistics.items()}
    samples = resample(statistics, resamples, task.described)
    found: dict[str, dict[str, Any]] = {}
    for name, values in outputs.items():
        points = measuring.metrics(values, test.target, test.weight)
        found[name] = {
            "metrics": {
                metric: estimate(value, centres[name][metric], samples[name].get(metric), settings.confidence)
                for metric, value in points.items()
            }
        }
        if name != "model":
            found[name]["difference"] = {
                metric: _difference(
                    centres["model"][metric] - centres[name][metric],
                    _minus(samples["model"], samples[name], metric),
                    about(task, metric)["better"],
                    settings.confidence,
                )
                for metric in points
            }
    return found


def _minus(first: Samples, second: Samples, metric: str) -> np.ndarray:
    return first[metric] - second[metric] if metric in first else np.zeros(0)


def _difference(value: float, samples: np.ndarray, better: str, confidence: float) -> dict[str, Any]:
    low, high = interval(samples, value, confidence) or (None, None)
    verdict = None
    if low is not None and high is not None:
        verdict = "equal" if low <= 0 <= high else "better" if (value > 0) == (better == "higher") else "worse"
    return {"value": value if np.isfinite(value) else None, "low": low, "high": high, "verdict": verdict}


def _curves(task: Task, kind: str, test: Part, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    z = NormalDist().inv_cdf(0.5 + settings.confidence / 2)
    if kind == "regression":
        return curves.regression_curves(test.outputs["prediction"], test.target, test.weight, z, seed, test.groups)
    if kind in ("ranking", "other"):
        return {}
    classes = list(task.state["classes"])
    codes = {name: code for code, name in enumerate(classes)}
    label = np.array([codes[str(name)] for name in test.outputs["label"]], dtype=np.int64)
    target = test.target.astype(np.int64)
    if kind == "multiclass":
        return curves.multiclass_curves(test.outputs["probability"], label, target, test.weight, classes, z, test.groups)
    found = curves.binary_curves(test.outputs["probability"], label, target, test.weight, classes, z, test.groups)
    found["confusion"]["threshold"] = task.state["threshold"]
    return found
