"""Every check fails on a component made to break its law, and says so."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from shopkit.component import FAMILIES
from shopkit.testing import Case, ConformanceError
from shopkit.testing.checks import Check, checks_in
from tests.testing.broken import components, exporters, features, models, sources, tasks, views
from tests.testing.broken.base import Broken

BROKEN: dict[str, Broken] = {}
for module in (components, sources, views, features, models, tasks, exporters):
    BROKEN |= module.BROKEN
CHECKS = {check.name: check for module in ("components", *FAMILIES) for check in checks_in(module)}


@pytest.mark.parametrize("name", CHECKS)
def test_a_broken_component_fails(name: str, tmp_path: Path) -> None:
    if name == "check_views_compile_for_spark" and importlib.util.find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed")
    broken = BROKEN[name]
    check: Check = CHECKS[name]
    assert check.suits(broken.component.tags)
    case = Case(check, broken.family, broken.component.name, broken.subject)
    with pytest.raises(ConformanceError) as raised:
        case.run(tmp_path)
    assert re.search(broken.message, str(raised.value)), str(raised.value)
    assert broken.component.name in str(raised.value)


def test_every_check_has_a_broken_component() -> None:
    assert BROKEN.keys() == CHECKS.keys()


@pytest.mark.parametrize("name", [*CHECKS, *(check.name for check in checks_in("plugins"))])
def test_every_check_says_its_law(name: str) -> None:
    check = CHECKS.get(name) or next(check for check in checks_in("plugins") if check.name == name)
    assert check.law.endswith(".")
    assert len(check.law) > 30
