from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from shopkit.cli import main
from shopkit.config import Experiment
from shopkit.runs import Run

Shopkit = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, and no plugins but those a test makes."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SHOPKIT_PLUGINS", "")
    return folder


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Hydra's `--info` makes the root logger write to the standard output of the moment."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def shopkit(capfd: pytest.CaptureFixture[str]) -> Shopkit:
    """`shopkit("list", "models")` → exit code, standard output, standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    call.capfd = capfd  # type: ignore[attr-defined]
    return call


class Pipeline(ModuleType):
    """Stands for `shopkit.pipeline`: notes what it was called with, and gives the folder its final name."""

    def __init__(self) -> None:
        super().__init__("shopkit.pipeline")
        self.calls: list[tuple[Experiment, Path]] = []
        self.error: BaseException | None = None

    def execute(self, experiment: Experiment, folder: Path, *, announce: Any, **given: Any) -> Run:
        self.calls.append((experiment, folder))
        announce("train", f"{experiment.model.name} with [3] parameters", 1.25)
        if self.error is not None:
            raise self.error
        run = Run(folder.rename(folder.with_name(folder.name.removesuffix(".partial"))))
        run.model_path.touch()
        return run


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    fake = Pipeline()
    monkeypatch.setitem(sys.modules, "shopkit.pipeline", fake)
    return fake
