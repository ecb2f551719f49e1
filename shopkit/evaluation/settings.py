"""Settings of the evaluation of an exported file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shopkit.errors import ConfigError


def named_baseline(spec: Any) -> tuple[str, str, dict[str, Any]]:
    """What a baseline is shown as, the model's name, and its settings.

    Raises:
        ConfigError: neither a name nor a mapping with one.
    """
    if isinstance(spec, str) and spec:
        return spec, spec, {}
    if isinstance(spec, Mapping) and isinstance(spec.get("name"), str):
        shown = str(spec.get("as", spec["name"]))
        if all(letter.isalnum() or letter in "_-" for letter in shown):
            return shown, spec["name"], {str(key): value for key, value in spec.items() if key not in ("name", "as")}
    raise ConfigError(
        f"evaluation.baselines has {spec!r}; write a model's name, or {{name: <model>, as: <shown as>, <setting>: …}}, where "
        "`as` has letters, digits, _ and - only."
    )


@dataclass
class EvaluationSettings:
    """What is measured of the exported file, and how closely."""

    n_bootstrap: int = 500
    """Resamples behind each interval; 0 gives no intervals."""
    confidence: float = 0.95
    """Share of resamples inside an interval."""
    baselines: list[Any] = field(default_factory=lambda: ["linear", "gbdt"])
    """Models that are fitted on the same rows and shown beside this one: a name, or `{name: …, as: <shown as>, <settings>}`. One
    that is not installed is left out with a note. The constant prediction always is there."""
    baseline_rows: int = 500_000
    """Most training rows, evenly spaced, that a baseline is fitted on."""
    sample_rows: int = 100_000
    """Most rows of each part, evenly spaced, that are looked at column by column: for importance, segments, drift, and columns
    that leak. Metrics and their intervals are of all rows."""
    segments: list[str] = field(default_factory=list)
    """Columns by whose values metrics are given apart; if empty, up to `max_segment_columns` are chosen."""
    max_segment_columns: int = 4
    """Most columns that are chosen when `segments` is empty; 0 gives no segments."""
    min_segment_rows: int = 50
    """Fewest rows of a segment that is shown by itself; smaller ones are joined as `other`."""
    permutation_repeats: int = 5
    """Shuffles of each column for its importance; 0 gives no importance."""
    permutation_rows: int = 2000
    """Most test rows, drawn at random, that importance is measured on."""
    leak_auroc: float = 0.99
    """AUROC of one column alone from which the audit takes it for a leak (classification)."""
    leak_r2: float = 0.98
    """Share of the target's variance that one column alone explains, from which the audit takes it for a leak (regression)."""
    cases: int = 0
    """Test rows that the report shows with what moved their answers: half of them right, half wrong, those the model is surest
    of; of numbers, those met best and those missed by most. 0 shows none: no raw row is printed unless asked for."""
    latency_batch_sizes: list[int] = field(default_factory=lambda: [1, 32, 1024])
    """Rows a call, for the latency table."""
    latency_seconds: float = 1.0
    """Time spent on measuring each batch size."""

    def __post_init__(self) -> None:
        shown = [named_baseline(spec)[0] for spec in self.baselines]
        if repeated := [name for name in shown if shown.count(name) > 1]:
            raise ConfigError(f"evaluation.baselines shows two models as '{repeated[0]}'; tell them apart with `as: <name>`.")
        for name, least in (
            ("n_bootstrap", 0),
            ("max_segment_columns", 0),
            ("min_segment_rows", 1),
            ("permutation_repeats", 0),
            ("permutation_rows", 1),
            ("baseline_rows", 1),
            ("sample_rows", 1),
            ("cases", 0),
        ):
            if getattr(self, name) < least:
                raise ConfigError(f"evaluation.{name} is {getattr(self, name)}; it must be at least {least}.")
        for name in ("confidence", "leak_auroc", "leak_r2"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"evaluation.{name} is {getattr(self, name):g}; it must lie between 0 and 1.")
        if not self.latency_seconds > 0:
            raise ConfigError(f"evaluation.latency_seconds is {self.latency_seconds:g}; it must be above 0.")
        if any(size < 1 for size in self.latency_batch_sizes):
            raise ConfigError(f"evaluation.latency_batch_sizes is {list(self.latency_batch_sizes)}; each must be at least 1.")
