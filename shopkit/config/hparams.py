"""A search for settings: what is tried, from a file in `conf/hparams_search/` and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from shopkit.config.folders import Folders
from shopkit.errors import ConfigError, nearest
from shopkit.settings import SettingError, build, convert, types_of

GROUP = "hparams_search"


@dataclass(frozen=True)
class Space:
    """The values that one setting may take: an interval, or a list."""

    low: int | float | None = None
    """Least value; with `high`. Whole numbers give whole numbers."""
    high: int | float | None = None
    """Largest value."""
    log: bool = False
    """Try the interval evenly on a logarithmic scale."""
    choices: list[Any] = field(default_factory=list)
    """The values, instead of an interval."""

    def __post_init__(self) -> None:
        if bool(self.choices) == (self.low is not None) or (self.low is None) != (self.high is None):
            raise ConfigError("give low and high, or choices.")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ConfigError(f"low is {self.low:g}, which is not below high, {self.high:g}.")
        if self.log and (self.low is None or self.low <= 0):
            raise ConfigError("log needs low above 0.")

    @property
    def ends(self) -> tuple[Any, Any]:
        return (self.choices[0], self.choices[-1]) if self.choices else (self.low, self.high)

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class SearchSettings:
    """How settings are searched for."""

    overrides: list[str] = field(default_factory=list)
    """What every trial sets, before what the command line sets."""
    space: dict[str, Space] = field(default_factory=dict)
    """Setting → what is tried."""
    n_trials: int = 20
    """Trials in all; a search that is resumed with more goes on to that number."""
    sampler: Literal["tpe", "random"] = "tpe"
    """`tpe` learns from earlier trials (Bergstra et al. 2011) after `n_startup` at random; `random` does not."""
    pruner: Literal["median", "none"] = "median"
    """`median` stops a trial whose epochs validate worse than the median of the others at the same epoch."""
    n_startup: int = 8
    """Trials before sampler and pruner begin to learn."""
    warmup_epochs: int = 3
    """Epochs that no trial is stopped before."""

    def __post_init__(self) -> None:
        if not self.space:
            raise ConfigError("space is empty; name at least one setting to try.")
        for name, least in (("n_trials", 1), ("n_startup", 1), ("warmup_epochs", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}.")


TYPED = ("n_trials", "sampler", "pruner", "n_startup", "warmup_epochs")
"""Settings of a search that are given on the command line by their bare names."""


def read_search(typed: Sequence[str], folders: Folders) -> tuple[SearchSettings, list[str]]:
    """The search, and the overrides that every trial has, from what was typed after `shopkit search`.

    Raises:
        ConfigError: no search was chosen, it does not exist, or one of its settings is wrong.
    """
    own = {key: value for key, _, value in (text.lstrip("+").partition("=") for text in typed) if key in (GROUP, *TYPED)}
    others = [text for text in typed if text.lstrip("+").partition("=")[0] not in (GROUP, *TYPED)]
    known = folders.options(GROUP)
    name = own.pop(GROUP, "")
    path = folders.file(f"{GROUP}/{name}")
    if path is None:
        wrong = f"There is no {GROUP} '{name}'.{nearest(name, known)}" if name else f"Choose what to try with {GROUP}=<name>."
        raise ConfigError(f"{wrong} There are: {', '.join(known)}. Your own go into conf/{GROUP}/.")
    import yaml  # type: ignore[import-untyped]

    try:
        body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not a YAML file: {' '.join(str(error).split())}") from None
    if not isinstance(body, Mapping):
        raise ConfigError(f"{path} must hold settings: {', '.join(types_of(SearchSettings))}.")
    try:
        settings = build(SearchSettings, body, owner="a search")
    except SettingError as error:
        raise ConfigError(f"{path}: {error}") from None
    hints = types_of(SearchSettings)
    try:
        given = {key: convert(hints[key], int(value) if value.isdecimal() else value, key) for key, value in own.items()}
        settings = replace(settings, **given)
    except ConfigError as error:
        raise ConfigError(f"command line: {error}") from None
    return settings, [*settings.overrides, *others]


def as_override(key: str, value: Any) -> str:
    """A value as it is written on the command line."""
    return f"{key}={_written(value)}"


def _written(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(_written(item) for item in value)}]"
    return {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)
