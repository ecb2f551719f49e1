"""Plugins made on the spot: a module and its installation record in a folder on `sys.path`, found as pip's own are."""

from __future__ import annotations

import os
import sys
import textwrap
import tomllib
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


def place(package: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Put a package that stands in a folder on the path, with the record that pip would leave; only it is loaded.

    Returns the environment in which a process of its own finds it as well.
    """
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    record = package / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    entries = [f"{name} = {target}" for name, target in project["entry-points"]["shopkit"].items()]
    (record / "entry_points.txt").write_text("\n".join(["[shopkit]", *entries, ""]))
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.setenv("SHOPKIT_PLUGINS", project["name"])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), *filter(None, sys.path)])}


MODEL = """
@hookimpl
def shopkit_models():
    return [Component("{name}", Settings, "{target}", "A {name} of its own")]
"""


def model(name: str, target: str = "shopkit_trees:Settings") -> str:
    """The code of a plugin with one model."""
    return MODEL.format(name=name, target=target)
