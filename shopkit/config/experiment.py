"""What a composed configuration becomes: plain, typed, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from shopkit.contract.settings import ContractSettings
from shopkit.errors import ConfigError
from shopkit.evaluation.settings import EvaluationSettings
from shopkit.features.settings import FeaturePlan
from shopkit.registry import Choice
from shopkit.settings import size_in_bytes
from shopkit.sources.settings import EngineSettings, PrivacySettings
from shopkit.training.settings import LoggerSettings, TrainerSettings

__all__ = ["FIELDS", "SECTIONS", "Choice", "Experiment", "General"]

SECTIONS: dict[str, tuple[str, type]] = {
    "engine": ("duckdb", EngineSettings),
    "contract": ("default", ContractSettings),
    "features": ("auto", FeaturePlan),
    "trainer": ("default", TrainerSettings),
    "logger": ("default", LoggerSettings),
    "evaluation": ("default", EvaluationSettings),
    "privacy": ("default", PrivacySettings),
}
"""Config group of plain settings → the option made from the dataclass's defaults, and the dataclass."""


@dataclass(frozen=True)
class General:
    """The settings at the top of a configuration."""

    name: str = "shopkit"
    """Name of the experiment: its runs stand in `runs/<name>/`."""
    seed: int = 0
    """Seed of every random choice."""
    resume: bool = False
    """Go on with the unfinished run of the same configuration and data, if there is one."""
    exports: list[Any] = field(default_factory=list)
    """More exporters of the same run, each by its name or as `{name: …, <settings>}`; their files stand in
    `exports/<name>/`. One that is refused is left out, and told. They can be added later, by `shopkit export` or `resume=true`:
    nothing is trained again."""
    cv: int = 0
    """Folds of a cross-validation, made as `split` says: by rows, by groups, or forward in time. 0 makes one run."""
    memory: str = "2GB"
    """What a run's data may take of the memory. Queries that need more go on in files of the run folder; features that need more
    stay there, and training draws shuffled blocks of them."""
    plugins: dict[str, str] = field(default_factory=dict)
    """Package of a plugin → `sha256:…` of its files, as `shopkit plugins list --hashes` shows it. One that was changed since
    is not run."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w][\w.-]*", self.name):
            raise ConfigError(f"name must be letters, digits, '_', '-' and '.', as it names a folder; got {self.name!r}.")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed must lie between 0 and 4294967295, got {self.seed}.")
        if self.cv < 0 or self.cv == 1:
            raise ConfigError(f"cv must be a number of folds, at least 2, or 0 for one run; got {self.cv}.")
        size_in_bytes("memory", self.memory)


@dataclass(frozen=True)
class Experiment:
    """One checked configuration: every component chosen, every setting typed."""

    name: str
    seed: int
    resume: bool
    cv: int
    memory: str
    plugins: dict[str, str]
    engine: EngineSettings
    source: Choice
    view: Choice
    contract: ContractSettings
    split: Choice
    features: FeaturePlan
    model: Choice
    task: Choice
    exporter: Choice
    exports: tuple[Choice, ...]
    trainer: TrainerSettings
    logger: LoggerSettings
    evaluation: EvaluationSettings
    privacy: PrivacySettings
    raw: Mapping[str, Any]
    """The same as plain data, as it is written into the run."""


FIELDS = [each.name for each in fields(Experiment) if each.name != "raw"]
"""The keys at the top of a configuration, in order."""
