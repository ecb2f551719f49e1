"""One folder of drawings for all tests."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from drawings import write_folder


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drawings")
    write_folder(path)
    return path


@pytest.fixture(scope="session", autouse=True)
def operators_are_read_once() -> None:
    """For each export torch reads and parses the source of its 500 operators, which takes longer than to export a small model."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    ONNXRegistry.from_torchlib = staticmethod(cache(ONNXRegistry.from_torchlib))  # nothing is ever registered beside them
