"""What every component promises, whatever its family."""

from __future__ import annotations

import importlib
import inspect
import re

from shopkit.settings import MISSING, build, defaults, documentation, unfit
from shopkit.testing.subject import Subject

BASES = {
    "sources": "shopkit.sources.base:Source",
    "views": "shopkit.views.base:View",
    "features": "shopkit.features.base:Extractor",
    "models": "shopkit.models.base:Model",
    "tasks": "shopkit.tasks.base:Task",
    "exporters": "shopkit.exporters.base:Exporter",
    "split": "shopkit.split.base:Split",
}
ESTIMATOR = "shopkit.models.base:Estimator"
SUMMARY_LENGTH = 90
"""Characters that fit into a line of `shopkit list`."""


def check_component_name_is_plain(subject: Subject) -> None:
    """The name is lower-case letters, digits and underscores, as it is a config value and a file name."""
    name = subject.component.name
    subject.require(
        re.fullmatch(r"[a-z][a-z0-9_]*", name) is not None,
        f"its name {name!r} is not lower-case letters, digits and underscores, beginning with a letter.",
    )


def check_component_summary_is_one_line(subject: Subject) -> None:
    """The summary is one short line without a full stop, for `shopkit list`."""
    summary = subject.component.summary
    subject.require(
        bool(summary.strip()) and "\n" not in summary and len(summary) <= SUMMARY_LENGTH and not summary.endswith("."),
        f"its summary must be one line of at most {SUMMARY_LENGTH} characters without a full stop; it is {summary!r}.",
    )


def check_component_settings_build_with_defaults(subject: Subject) -> None:
    """The settings are plain types with a default each, and the defaults pass their own validation."""
    config = subject.component.config
    if reason := unfit(config):
        subject.fail(f"{reason}.")
    values = defaults(config)
    missing = [name for name, value in values.items() if value == MISSING]
    subject.require(not missing, f"its settings {', '.join(missing)} have no default; `{config.__name__}()` must work.")
    subject.require(build(config, values) == config(), f"{config.__name__} made from its own defaults differs from the default.")


def check_component_settings_are_documented(subject: Subject) -> None:
    """Every setting says what it means in a docstring below its field, where help texts come from."""
    bare = [name for name, text in documentation(subject.component.config).items() if not text]
    subject.require(not bare, f"its settings {', '.join(bare)} have no docstring below the field.")


def check_component_target_is_of_its_family(subject: Subject) -> None:
    """The target imports and is a concrete class of its family's base."""
    target = subject.target()
    path = ESTIMATOR if "estimator" in subject.tags else BASES[subject.family]
    module, _, name = path.partition(":")
    base = getattr(importlib.import_module(module), name)
    subject.require(
        isinstance(target, type) and issubclass(target, base), f"its target {subject.component.target} is not a {module}.{name}."
    )
    unwritten = sorted(getattr(target, "__abstractmethods__", ()))
    subject.require(not unwritten, f"its target {target.__name__} does not define {', '.join(unwritten)}.")
    subject.require(bool(inspect.getdoc(target)), f"its target {target.__name__} has no docstring.")
