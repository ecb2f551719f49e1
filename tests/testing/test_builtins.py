"""Every built-in component keeps its contract."""

from __future__ import annotations

from shopkit.registry import load_registry
from shopkit.testing import conformance

test_conformance = conformance("shopkit", registry=load_registry(""))
