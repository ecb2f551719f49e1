"""Plugins made on the spot: a module and its installation record in a folder on `sys.path`, found as pip's own are."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

Install = Callable[..., Path]

HEADER = """
from dataclasses import dataclass
from shopkit.component import Component
from shopkit.hookspecs import hookimpl

@dataclass
class Settings:
    depth: int = 3
    '''Layers.'''
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """`install("shopkit-trees", code)` makes a plugin of that distribution name; its module is `shopkit_trees`.

    Only plugins made so are loaded, whatever else is installed.
    """
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("SHOPKIT_PLUGINS", "")
    made: dict[str, str] = {}

    def make(distribution: str, code: str, version: str = "1.2", header: str = HEADER) -> Path:
        module = distribution.replace("-", "_")
        (folder / f"{module}.py").write_text(header + textwrap.dedent(code), encoding="utf-8")
        record = folder / f"{module}-{version}.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (record / "entry_points.txt").write_text(f"[shopkit]\n{module.removeprefix('shopkit_')} = {module}\n")
        made[distribution] = module
        monkeypatch.setenv("SHOPKIT_PLUGINS", ",".join(made))
        return folder

    yield make  # type: ignore[misc]
    for module in made.values():
        sys.modules.pop(module, None)


MODEL = """
@hookimpl
def shopkit_models():
    return [Component("{name}", Settings, "{target}", "A {name} of its own")]
"""


def model(name: str, target: str = "shopkit_trees:Settings") -> str:
    """The code of a plugin with one model."""
    return MODEL.format(name=name, target=target)
