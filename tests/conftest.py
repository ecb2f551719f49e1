from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from shopkit import progress


@pytest.fixture(scope="session", autouse=True)
def operators_are_read_once() -> None:
    """For each export torch reads and parses the source of its 500 operators, which takes longer than to export a small model."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    ONNXRegistry.from_torchlib = staticmethod(cache(ONNXRegistry.from_torchlib))  # nothing is ever registered beside them


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What is told to the line of a terminal."""
    found: list[tuple[str, Any]] = []

    class Line:
        done = 0

        def __setattr__(self, name: str, value: Any) -> None:
            found.append((name, value))

    monkeypatch.setattr(progress, "_line", Line())
    return found
