"""Items as the ids of what is recommended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from shopkit.errors import ConfigError

from shopkit_recommend.features.catalogue import Catalogue
from shopkit_recommend.features.settings import CatalogueSettings


def test_a_target_that_is_no_item_has_no_catalogue() -> None:
    context: Any = SimpleNamespace(classes=())
    with pytest.raises(ConfigError, match=r"features\.columns\.history: catalogue gives the items of a target of items"):
        Catalogue(CatalogueSettings()).fit("history", context)
