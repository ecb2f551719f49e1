from __future__ import annotations

from functools import cache

import pytest


@pytest.fixture(scope="session", autouse=True)
def operators_are_read_once() -> None:
    """For each export torch reads and parses the source of its 500 operators, which takes longer than to export a small model."""
    from torch.onnx._internal.exporter import _registration

    apis = _registration.onnxscript_apis
    apis.get_torchlib_ops = cache(lambda: type(apis).__getattr__(apis, "get_torchlib_ops")())
