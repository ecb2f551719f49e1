"""What is tried for each model, composed."""

from __future__ import annotations

from pathlib import Path

import pytest
from shopkit.config import Composer
from shopkit.registry import load_registry
from shopkit.testing.searches import check_search

import shopkit_recommend

SEARCHES = sorted((Path(shopkit_recommend.__file__).parent / "conf" / "hparams_search").glob("*.yaml"))


@pytest.mark.parametrize("path", SEARCHES, ids=lambda path: path.stem)
def test_every_search_composes(path: Path) -> None:
    check_search(path, Composer.of(load_registry()))


def test_every_model_has_a_search() -> None:
    models = {found.component.name for found in load_registry().components("models") if found.distribution == "shopkit-recommend"}
    assert {path.stem for path in SEARCHES} == models
