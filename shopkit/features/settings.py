"""Settings of the feature plan and of every built-in extractor. Imports nothing heavy: read for help texts and config checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from shopkit.errors import ConfigError
from shopkit.schema import Kind

Indicator = Literal["auto", "always", "never"]
TimePart = Literal["hour", "weekday", "day_of_month", "day_of_year", "elapsed"]


def _at_least(component: str, setting: str, value: float, least: float) -> None:
    if not value >= least:
        raise ConfigError(f"{component}.{setting} is {value!r}; it must be at least {least}.")


def parse_spec(spec: Any, where: str) -> list[tuple[str, dict[str, Any]]]:
    """A column's spec as `(extractor, settings)` pairs, in order.

    A spec is a name, `{name: …, settings}`, or a list of those, whose outputs stand side by side.

    Raises:
        ConfigError: anything else; names the place.
    """
    if isinstance(spec, str) and spec:
        return [(spec, {})]
    if isinstance(spec, Mapping):
        if not isinstance(spec.get("name"), str):
            raise ConfigError(f"{where} is {dict(spec)!r}, which has no name: write {{name: <extractor>, <setting>: <value>}}.")
        return [(spec["name"], {str(key): value for key, value in spec.items() if key != "name"})]
    if isinstance(spec, list | tuple) and spec:
        return [pair for item in spec for pair in parse_spec(item, where)]
    raise ConfigError(f"{where} is {spec!r}; write an extractor's name, {{name: …, <setting>: …}}, or a list of those.")


@dataclass
class FeaturePlan:
    """Which extractor reads which column."""

    numbers: Any = "auto"
    """Extractor(s) for number columns: `auto`, a name, `{name: …, <settings>}`, or a list of those, side by side."""
    strings: Any = "auto"
    """Extractor(s) for string columns."""
    times: Any = "auto"
    """Extractor(s) for time columns."""
    columns: dict[str, Any] = field(default_factory=dict)
    """Column → extractor(s), for columns that want their own, e.g. `{price: {name: bucketize, n_bins: 20}}`."""
    types: dict[str, Kind] = field(default_factory=dict)
    """Column → `number`, `string` or `time`, where the inferred kind is not the meant one, e.g. integer codes."""
    ignore: list[str] = field(default_factory=list)
    """Columns to leave out."""
    max_length: int = 256
    """Steps of a sequence that are read at most, in training as in the file; 0 reads all."""
    keep: Literal["latest", "earliest"] = "latest"
    """Which end of a longer sequence is read: `latest` (its last steps) or `earliest`."""
    max_one_hot: int = 32
    """`auto` one-hot encodes a string column with at most this many categories, and uses target rates above."""
    min_piecewise: int = 8
    """`auto` uses piecewise-linear encoding for a number column with at least this many distinct values."""

    def __post_init__(self) -> None:
        for name in ("numbers", "strings", "times"):
            if getattr(self, name) != "auto":
                parse_spec(getattr(self, name), f"features.{name}")
        for column, spec in self.columns.items():
            if spec != "auto":
                parse_spec(spec, f"features.columns.{column}")
        _at_least("features", "max_length", self.max_length, 0)
        _at_least("features", "max_one_hot", self.max_one_hot, 0)
        _at_least("features", "min_piecewise", self.min_piecewise, 2)


@dataclass
class IdentitySettings:
    """A number as it is."""

    missing: Literal["keep", "zero"] = "keep"
    """`keep` leaves NaN for models that read it; `zero` writes 0."""
    indicator: Indicator = "never"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""


@dataclass
class StandardizeSettings:
    """(x − mean) / standard deviation."""

    indicator: Indicator = "auto"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""


@dataclass
class QuantileSettings:
    """Rank among the training values, as a normal or uniform score."""

    n_quantiles: int = 256
    """Knots between which ranks are interpolated; fewer where there are fewer distinct values."""
    output: Literal["normal", "uniform"] = "normal"
    """Distribution of the result: `normal` (clipped at ±5.2) or `uniform` (0 to 1)."""
    indicator: Indicator = "auto"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""

    def __post_init__(self) -> None:
        _at_least("quantile", "n_quantiles", self.n_quantiles, 2)


@dataclass
class Log1pSettings:
    """sign(x) · log(1 + |x|), then standardised."""

    indicator: Indicator = "auto"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""


@dataclass
class BucketizeSettings:
    """The bin a number falls into."""

    n_bins: int = 16
    """Number of bins, unless `edges` are given; fewer where quantiles coincide."""
    edges: list[float] = field(default_factory=list)
    """Inner edges, ascending; a value equal to an edge falls into the upper bin."""
    strategy: Literal["quantile", "uniform"] = "quantile"
    """`quantile` (equal counts) or `uniform` (equal widths)."""
    encode: Literal["ids", "one_hot"] = "ids"
    """`ids` (0 missing, 1 never given, 2 first bin, …) or `one_hot` (missing is all zeros)."""

    def __post_init__(self) -> None:
        _at_least("bucketize", "n_bins", self.n_bins, 2)
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ConfigError(f"bucketize.edges is {list(self.edges)!r}; edges must ascend.")


@dataclass
class PiecewiseLinearSettings:
    """How far a number has filled each of its bins (Gorishniy et al., 2022)."""

    n_bins: int = 48
    """Number of bins; fewer where quantiles coincide."""
    edges: Literal["quantile", "target"] = "quantile"
    """`quantile` puts equal counts into the bins; `target` puts edges where the target's mean changes most (a greedy tree)."""
    indicator: Indicator = "auto"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""

    def __post_init__(self) -> None:
        _at_least("piecewise_linear", "n_bins", self.n_bins, 1)


@dataclass
class ImputeSettings:
    """A number with missing values filled in, unscaled."""

    strategy: Literal["mean", "median", "constant"] = "median"
    """What fills in: `mean`, `median` or `constant`."""
    value: float = 0.0
    """The filling of strategy `constant`."""
    indicator: Indicator = "auto"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""


@dataclass
class VocabularySettings:
    """The id of a category: 0 missing, 1 unknown, then by falling count."""

    min_count: int = 1
    """Training rows a category must have; rarer ones are unknown."""
    max_size: int = 100_000
    """Most categories to keep, the most frequent first."""

    def __post_init__(self) -> None:
        _at_least("vocabulary", "min_count", self.min_count, 1)
        _at_least("vocabulary", "max_size", self.max_size, 1)


@dataclass
class OneHotSettings:
    """A 0/1 position for each category; unknown is all zeros, missing has a position if the training part had it."""

    min_count: int = 1
    """Training rows a category must have; rarer ones are all zeros."""
    max_size: int = 256
    """Most categories to keep, the most frequent first."""

    def __post_init__(self) -> None:
        _at_least("one_hot", "min_count", self.min_count, 1)
        _at_least("one_hot", "max_size", self.max_size, 1)


@dataclass
class TargetRateSettings:
    """The target's mean in the category, drawn towards the overall mean; training rows get values fitted without their fold."""

    smoothing: float = 20.0
    """Rows' worth of the overall mean added to every category."""
    n_folds: int = 5
    """Folds for the training rows' own values."""
    max_size: int = 100_000
    """Most categories to keep, the most frequent first; others get the overall mean."""

    def __post_init__(self) -> None:
        _at_least("target_rate", "smoothing", self.smoothing, 0)
        _at_least("target_rate", "n_folds", self.n_folds, 2)
        _at_least("target_rate", "max_size", self.max_size, 1)


@dataclass
class TimePartsSettings:
    """Parts of a UTC time; the cyclic ones as sine and cosine."""

    parts: list[TimePart] = field(default_factory=lambda: ["hour", "weekday", "day_of_year"])
    """Any of `hour`, `weekday`, `day_of_month`, `day_of_year` (cyclic) and `elapsed` (time since the training mean, scaled)."""
    indicator: Indicator = "auto"
    """An extra 0/1 position for "is missing": `auto` (if the training part has missing values), `always`, `never`."""

    def __post_init__(self) -> None:
        if not self.parts:
            raise ConfigError(f"time_parts.parts is empty; name at least one of {', '.join(get_args(TimePart))}.")
        if len(set(self.parts)) < len(self.parts):
            raise ConfigError(f"time_parts.parts is {list(self.parts)!r}; name each part once.")
