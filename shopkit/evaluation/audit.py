"""The leakage audit: signs that a test result is too good to be true. It warns; it never stops a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from shopkit.evaluation.fingerprints import Fingerprints
from shopkit.evaluation.part import Part
from shopkit.evaluation.settings import EvaluationSettings
from shopkit.raw import distinct_texts
from shopkit.schema import MISSING_TIME, PARTS
from shopkit.tasks.metrics import RegressionStatistics

MOST_ROWS = 20_000
"""Rows, drawn at random, that single columns are tried on."""

N_BINS = 50
DUPLICATES = 0.05
"""Share of test rows that repeat a training row from which it is a warning and not a remark."""

NEGLIGIBLE = 0.0005
"""Share of them below which nothing is said: it is written as 0.0 %."""

Severity = Literal["error", "warning", "info"]
_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Finding:
    """One sign of a leak."""

    check: str
    severity: Severity
    message: str
    column: str = ""
    value: float | None = None


def audit(
    parts: Mapping[str, Part],
    settings: EvaluationSettings,
    *,
    n_classes: int | None,
    seed: int,
    sample: Part | None = None,
    fingerprints: Mapping[str, Fingerprints] | None = None,
) -> list[dict[str, object]]:
    """The entry `audit` of `evaluate`: findings, worst first.

    Args:
        parts: `train`, `test` and perhaps `validation`.
        sample: rows of the training part with their columns, if `parts` is without them.
        fingerprints: of all rows of these parts; made of `parts` if not given.
        n_classes: 0 for amounts; else targets are class indices. None leaves out whether one column predicts.
    """
    train, test = parts["train"], parts["test"]
    prints = fingerprints or {name: Fingerprints.of(part) for name, part in parts.items()}
    known = sample or train
    findings = [
        *_keys(prints, known.keys),
        *_late_times(prints),
        *(_telling_columns(known, settings, n_classes, seed) if n_classes is not None else ()),
        *(_duplicate_rows(prints["train"].rows, prints["test"].rows) if known.columns else ()),
        *_shared_groups(train, test),
        *_time_order(train, test),
    ]
    findings.sort(key=lambda finding: _ORDER[finding.severity])
    return [asdict(finding) for finding in findings]


# -- one column predicts --------------------------------------------------------------------------------------------


def _telling_columns(train: Part, settings: EvaluationSettings, n_classes: int, seed: int) -> list[Finding]:
    rng = np.random.default_rng([seed, 2])
    if len(train) < 2 * N_BINS:
        return []
    sample = train.take(rng.permutation(len(train))[:MOST_ROWS])
    limit = settings.leak_auroc if n_classes else settings.leak_r2
    measure = "AUROC" if n_classes else "R²"
    findings = []
    for column, values in sample.raw.items():
        power = column_power(values, sample.target, n_classes)
        if power > limit:
            findings.append(
                Finding(
                    "one_column_predicts",
                    "warning",
                    f"Column '{column}' alone predicts the target nearly perfectly ({measure} {power:.3f}). Unless it is known "
                    f"before the decision, it leaks the answer: leave it out with features.ignore=[{column}].",
                    column,
                    power,
                )
            )
    return findings


def column_power(values: np.ndarray, target: np.ndarray, n_classes: int) -> float:
    """How well one column alone predicts: AUROC (multiclass: mean over classes) or R², the best of a few readings.

    The target's mean by bin or category is fitted on one half of the rows and read on the other, and the reverse, so that an
    identifier, each value of which occurs once, predicts nothing. A number is also read as it is, and by rank.

    Args:
        values: canonical column (N,), rows in random order.
        target: (N,) class index, or amount.
        n_classes: 0 for an amount.
    """
    codes = _codes(values)
    if n_classes == 0:
        return _amount_power(values, codes, target.astype(np.float64))
    ranks = None
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        ranks = _ranks(np.where(finite, values, values[finite].min() if finite.any() else 0))
    areas = []
    for k in range(1 if n_classes == 2 else 0, n_classes):
        positive = target == k
        if positive.any() and not positive.all():
            found = [_auroc(_ranks(_halves(codes, positive.astype(np.float64))), positive)]
            if ranks is not None:
                rising = _auroc(ranks, positive)
                found += [rising, 1 - rising]
            areas.append(max(found))
    return float(np.mean(areas)) if areas else 0.5


def _auroc(ranks: np.ndarray, positive: np.ndarray) -> float:
    """Of the ranks of a score (Mann and Whitney 1947)."""
    n_positive = int(positive.sum())
    above = float(ranks[positive].sum()) - n_positive * (n_positive + 1) / 2
    return above / (n_positive * (len(positive) - n_positive))


def _amount_power(values: np.ndarray, codes: np.ndarray, target: np.ndarray) -> float:
    found = [RegressionStatistics(_halves(codes, target), target)(np.ones(len(target)))["r2"]]
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if finite.mean() > 0.5:
            for x, y in ((values[finite], target[finite]), (_ranks(values[finite]), _ranks(target[finite]))):
                if x.std() > 0 and y.std() > 0:
                    found.append(float(np.corrcoef(x, y)[0, 1] ** 2) * float(finite.mean()))
    return max((value for value in found if np.isfinite(value)), default=0.0)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Mean rank of each value, from 1, equal values sharing theirs."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[codes])


def _codes(values: np.ndarray) -> np.ndarray:
    """Category or quantile bin of each row; missing has its own."""
    if values.dtype.kind in "OUT":
        return distinct_texts(values)[1]
    missing = values == MISSING_TIME if values.dtype.kind == "i" else ~np.isfinite(values)
    edges = np.unique(np.quantile(values[~missing], np.linspace(0, 1, N_BINS + 1)[1:-1])) if not missing.all() else np.zeros(0)
    return np.where(missing, len(edges) + 1, np.searchsorted(edges, values, side="right"))


def _halves(codes: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Mean target of each row's code in the other half of the rows; the overall mean where the code is new."""
    n_codes = int(codes.max()) + 1
    half = np.arange(len(codes)) % 2 == 0
    predicted = np.empty(len(codes))
    for fitted, read in ((half, ~half), (~half, half)):
        counts = np.bincount(codes[fitted], minlength=n_codes)
        sums = np.bincount(codes[fitted], target[fitted], minlength=n_codes)
        overall = target[fitted].mean()
        predicted[read] = np.divide(sums, counts, out=np.full(n_codes, overall), where=counts > 0)[codes[read]]
    return predicted


# -- rows, keys and groups shared by parts --------------------------------------------------------------------------


def _keys(prints: Mapping[str, Fingerprints], keys: Collection[str]) -> list[Finding]:
    findings = []
    names = [name for name in PARTS if name in prints] if keys else []
    hashes = {name: np.unique(prints[name].keys) for name in names}
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            shared = int(np.isin(hashes[second], hashes[first]).sum())
            if shared:
                columns = ", ".join(keys)
                findings.append(
                    Finding(
                        "shared_keys",
                        "error",
                        f"{shared:,} keys ({columns}) are in both the {first} and the {second} part: the same row is learnt and "
                        "measured. Make the keys unique in the view.",
                        columns,
                        shared / len(hashes[second]),
                    )
                )
    return findings


def _duplicate_rows(train: np.ndarray, test: np.ndarray) -> list[Finding]:
    """Of the fingerprints of two parts' rows."""
    if not len(train) or not len(test):
        return []
    known, counts = np.unique(train, return_counts=True)
    share = float(np.isin(test, known).mean())
    if share < NEGLIGIBLE:
        return []
    within = float(counts[counts > 1].sum() / len(train))
    return [
        Finding(
            "duplicate_rows",
            "warning" if share >= DUPLICATES else "info",
            f"{share:.1%} of the test rows equal a training row in every feature and the target; within the training part, "
            f"{within:.1%} of the rows have a twin. "
            + (
                "If they are copies, as after oversampling, the result is too good: remove them before the split."
                if share >= DUPLICATES
                else "So few hardly move the result."
            ),
            value=share,
        )
    ]


def _shared_groups(train: Part, test: Part) -> list[Finding]:
    if train.groups is None or test.groups is None or not len(test):
        return []
    groups = np.unique(test.groups)
    shared = int(np.isin(groups, train.groups).sum())
    if not shared:
        return []
    return [
        Finding(
            "shared_groups",
            "info",
            f"{shared:,} of the {len(groups):,} groups (customers) of the test part are in the training part as well: the result "
            "holds for customers that are known, and says nothing of new ones. Where each row stands for itself, split=group "
            "tests on those. Intervals are drawn over whole groups.",
            value=shared / len(groups),
        )
    ]


# -- time -----------------------------------------------------------------------------------------------------------


def _late_times(prints: Mapping[str, Fingerprints]) -> list[Finding]:
    findings = []
    for column in prints["train"].late:
        late, total = (sum(of_part.late[column][i] for of_part in prints.values() if column in of_part.late) for i in (0, 1))
        if late:
            findings.append(
                Finding(
                    "time_past_cutoff",
                    "warning",
                    f"Column '{column}' lies at or past its row's cut-off in {late:,} of {total:,} rows: it tells of what was "
                    f"not yet known. Leave it out with features.ignore=[{column}], or correct the view.",
                    column,
                    late / total,
                )
            )
    return findings


def _time_order(train: Part, test: Part) -> list[Finding]:
    if train.cutoff is None or test.cutoff is None or not len(train) or not len(test):
        return []
    last = int(train.cutoff.max())
    share = float((test.cutoff <= last).mean())
    if share == 0:
        return []
    return [
        Finding(
            "time_order",
            "info",
            f"{share:.1%} of the test rows are not later than the last training row "
            f"({datetime.fromtimestamp(last, UTC):%Y-%m-%d}): the result does not show how the model "
            "holds up in the future. split=time does.",
            value=share,
        )
    ]
