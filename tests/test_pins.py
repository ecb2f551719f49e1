"""A pinned plugin runs as it was pinned, or not at all."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shopkit
from shopkit.cli import main
from shopkit.errors import PluginError
from shopkit.pins import plugin_hash
from shopkit.registry import load_registry
from tests.plugins import Install, install, model
from tests.shop import TABLE, visits

__all__ = ["install"]


def hash_of(name: str) -> str:
    return plugin_hash(importlib.metadata.distribution(name))


@pytest.fixture
def trees(install: Install) -> Path:
    return install("shopkit-trees", model("trees")) / "shopkit_trees.py"


def test_the_hash_is_that_of_the_files(trees: Path) -> None:
    first = hash_of("shopkit-trees")
    assert hash_of("shopkit-trees") == first
    cache = trees.parent / "__pycache__" / "shopkit_trees.cpython-311.pyc"
    cache.parent.mkdir(exist_ok=True)
    cache.write_bytes(b"compiled")
    assert hash_of("shopkit-trees") == first
    trees.write_text(trees.read_text() + "\n# changed\n")
    assert hash_of("shopkit-trees") != first


def test_a_file_anywhere_in_a_package_counts(install: Install, tmp_path: Path) -> None:
    folder = install("shopkit-wide", "", header="") / "shopkit_wide.py"
    folder.unlink()
    package = folder.with_suffix("")
    (package / "conf").mkdir(parents=True)
    (package / "__init__.py").touch()
    hashes = [hash_of("shopkit-wide")]
    for name in ("inner.py", "conf/x.yaml", "data.bin"):
        (package / name).write_text("a")
        hashes.append(hash_of("shopkit-wide"))
    assert len(set(hashes)) == 4


def test_the_built_ins_own_plugin_has_a_hash() -> None:
    assert hash_of("shopkit-gbdt").startswith("sha256:")


def test_a_plugin_changed_after_pinning_is_refused(trees: Path, tmp_path: Path) -> None:
    pin = hash_of("shopkit-trees")
    overrides = [*TABLE, f"plugins={{shopkit-trees: '{pin}'}}", "view.target=missing"]
    with pytest.raises(shopkit.errors.ShopkitError, match=r"view\.target names column 'missing'"):
        shopkit.run(data=visits(60), overrides=overrides, folder=tmp_path / "run")
    trees.write_text(trees.read_text() + "\n# changed\n")
    with pytest.raises(PluginError, match=r"plugins\.shopkit-trees was changed after it was pinned: shopkit-trees 1\.2 has"):
        shopkit.run(data=visits(60), overrides=overrides, folder=tmp_path / "run")


@pytest.mark.parametrize("make", [shopkit.cross_validate, shopkit.search])
def test_a_pin_is_held_before_anything_is_opened(make: Callable[..., Any], trees: Path, tmp_path: Path) -> None:
    overrides = [*TABLE, f"plugins={{shopkit-trees: 'sha256:{'0' * 64}'}}", "source.path=nothing.csv", "source=files"]
    more = ["hparams_search=linear"] if make is shopkit.search else []
    with pytest.raises(PluginError, match=r"plugins\.shopkit-trees was changed after it was pinned"):
        make(overrides=[*overrides, *more], folder=tmp_path / "it")
    assert not list(tmp_path.glob("it*"))


def test_a_pin_in_the_environment_is_held_before_the_plugin_is_imported(trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPKIT_PLUGINS", f"shopkit-trees@{hash_of('shopkit-trees')}")
    assert "trees" in load_registry().families["models"]
    trees.write_text("open('imported', 'w')\n" + trees.read_text())
    with pytest.raises(PluginError, match="SHOPKIT_PLUGINS: shopkit-trees was changed after it was pinned"):
        load_registry()
    assert not Path("imported").exists()


def test_pins_that_are_none(trees: Path, tmp_path: Path) -> None:
    missing = f"{{shopkit-tree: 'sha256:{'0' * 64}'}}"
    for pins, said in (
        ("{shopkit-trees: abc}", r"plugins\.shopkit-trees is pinned to 'abc'; a pin is 'sha256:' and 64 digits"),
        (missing, r"plugins\.shopkit-tree is pinned, and not installed\. Did you mean 'shopkit-trees'"),
    ):
        with pytest.raises(PluginError, match=said):
            shopkit.run(data=visits(60), overrides=[*TABLE, f"plugins={pins}"], folder=tmp_path / "run")


def test_the_list_shows_lines_for_a_configuration(trees: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "list", "--hashes"]) == 0
    assert capsys.readouterr().out == f"plugins:\n  shopkit-trees: {hash_of('shopkit-trees')}\n"
