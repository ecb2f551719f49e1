from __future__ import annotations

from functools import cache

import pytest


@pytest.fixture(scope="session", autouse=True)
def operators_are_read_once() -> None:
    """For each export torch reads and parses the source of its 500 operators, which takes longer than to export a small model."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    ONNXRegistry.from_torchlib = staticmethod(cache(ONNXRegistry.from_torchlib))  # nothing is ever registered beside them
