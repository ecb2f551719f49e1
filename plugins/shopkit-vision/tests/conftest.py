"""One folder of drawings for all tests."""

from __future__ import annotations

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
