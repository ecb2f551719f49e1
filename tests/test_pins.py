"""A pinned plugin runs as it was pinned, or not at all."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import py_compile
import sys
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
    trees.write_text(trees.read_text() + "\n# changed\n")
    assert hash_of("shopkit-trees") != first


def compiled(source: Path, code: str, mode: py_compile.PycInvalidationMode) -> None:
    """A compiled file that Python takes for that of the source."""
    kept, stat = source.read_bytes(), source.stat()
    target = importlib.util.cache_from_source(str(source))
    py_compile.compile(str(source), target, invalidation_mode=mode)
    header = Path(target).read_bytes()[:16]
    source.write_text(code)
    py_compile.compile(str(source), target, invalidation_mode=mode, doraise=True)
    Path(target).write_bytes(header + Path(target).read_bytes()[16:])
    source.write_bytes(kept)
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("mode", py_compile.PycInvalidationMode)
def test_a_compiled_file_counts_unless_it_is_of_its_source(
    trees: Path, mode: py_compile.PycInvalidationMode, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Python runs it, and looks no further at the source than at its time and size, or not at all."""
    monkeypatch.chdir(tmp_path)
    first, sound = hash_of("shopkit-trees"), trees.read_text()
    compiled(trees, sound, mode)
    assert hash_of("shopkit-trees") == first
    assert importlib.import_module("shopkit_trees").Settings().depth == 3
    for other in (
        sound.replace("depth: int = 3", "depth: int = 4"),
        sound + "\ntry:\n    pass\nfinally:\n    open('ran', 'w')\n",
    ):
        compiled(trees, other, mode)
        assert hash_of("shopkit-trees") != first
    sys.modules.pop("shopkit_trees")
    importlib.invalidate_caches()
    assert importlib.import_module("shopkit_trees").Settings().depth == 3
    assert Path("ran").exists()


def test_compiled_files_that_python_does_not_run_do_not_count(trees: Path) -> None:
    first = hash_of("shopkit-trees")
    cache = Path(importlib.util.cache_from_source(str(trees)))
    cache.parent.mkdir(exist_ok=True)
    cache.write_bytes(b"of another Python")
    (cache.parent / "shopkit_trees.cpython-39.pyc").write_bytes(b"compiled")
    assert hash_of("shopkit-trees") == first
    compiled(trees, "x = 1\n", py_compile.PycInvalidationMode.TIMESTAMP)
    assert hash_of("shopkit-trees") != first
    os.utime(trees, (1e9, 1e9))
    assert hash_of("shopkit-trees") == first
    cache.write_bytes(importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + b"cut off")
    assert hash_of("shopkit-trees") != first


def test_every_package_of_a_plugin_counts(install: Install, tmp_path: Path) -> None:
    site = install("shopkit-wide", "", header="")
    (record,) = site.glob("*.dist-info")
    project = tmp_path / "project"
    (project / "second").mkdir(parents=True)
    (project / "second" / "__init__.py").touch()
    (site / "wide.pth").write_text(f"import nothing\n{project}\n")
    (record / "direct_url.json").write_text('{"dir_info": {"editable": true}, "url": "file:///x"}')
    (record / "RECORD").write_text("wide.pth,,\n")
    hashes = [hash_of("shopkit-wide")]
    for name in ("third.py", "second/inner.py", "second/hidden.pyc"):
        (project / name).write_text("x = 1")
        hashes.append(hash_of("shopkit-wide"))
    (site / "named.py").touch()
    (record / "top_level.txt").write_text("shopkit_wide\nnamed\n")
    hashes.append(hash_of("shopkit-wide"))
    assert len(set(hashes)) == 5


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
