from __future__ import annotations

import importlib

import pytest

from shopkit.config.experiment import SECTIONS, General
from shopkit.registry import Registered, load_registry
from shopkit.settings import MISSING, build, defaults, documentation, types_of, unfit

REGISTRY = load_registry("")
COMPONENTS = [(family, found) for family, known in REGISTRY.families.items() for found in known.values()]
IDS = [f"{family}-{found.component.name}" for family, found in COMPONENTS]
SETTINGS = {found.component.config for _, found in COMPONENTS} | {settings for _, settings in SECTIONS.values()} | {General}


@pytest.mark.parametrize(("family", "found"), COMPONENTS, ids=IDS)
def test_the_target_is_there(family: str, found: Registered) -> None:
    module, _, name = found.component.target.partition(":")
    assert isinstance(getattr(importlib.import_module(module), name), type)


@pytest.mark.parametrize(("family", "found"), COMPONENTS, ids=IDS)
def test_the_summary_is_one_short_line(family: str, found: Registered) -> None:
    summary = found.component.summary
    assert summary
    assert "\n" not in summary
    assert len(summary) <= 90
    assert not summary.endswith(".")


@pytest.mark.parametrize("settings", sorted(SETTINGS, key=lambda cls: cls.__qualname__), ids=lambda cls: cls.__name__)
def test_every_setting_is_plain_has_a_default_and_says_what_it_means(settings: type) -> None:
    assert unfit(settings) is None
    assert MISSING not in defaults(settings).values()
    assert build(settings, defaults(settings)) == settings()
    undocumented = [name for name, text in documentation(settings).items() if not text]
    assert not undocumented
    assert list(types_of(settings)) == list(defaults(settings))
