from __future__ import annotations

from pathlib import Path

import pytest

import shopkit
from shopkit.config.folders import Folders, core_folder, find_folders, summary
from shopkit.errors import ConfigError
from shopkit.registry import load_registry


def test_an_editable_install_finds_conf_beside_the_package_and_a_wheel_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (core_folder() / "config.yaml").is_file()
    package = tmp_path / "site-packages" / "shopkit"
    package.mkdir(parents=True)
    monkeypatch.setattr(shopkit, "__file__", str(package / "__init__.py"))
    with pytest.raises(ConfigError, match=r"shopkit's configuration folder 'conf' is missing beside .*Install shopkit again\."):
        core_folder()
    for folder in (package.parent / "conf", package / "conf"):
        folder.mkdir()
        (folder / "config.yaml").touch()
        assert core_folder() == folder


def test_the_users_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    registry = load_registry("")
    assert find_folders(registry).user is None
    (tmp_path / "conf" / "experiment" / "mine").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "purchase_intent.yaml").write_text(
        "# @package _global_\n# shopkit run\n#\n# Mine.\n# More.\n"
    )
    (tmp_path / "conf" / "experiment" / "mine" / "deep.yaml").touch()
    folders = find_folders(registry)
    assert list(folders) == [tmp_path / "conf", core_folder()]
    assert folders.experiments()["purchase_intent"].is_relative_to(tmp_path)
    assert "mine/deep" in folders.experiments()
    assert summary(folders.experiments()["purchase_intent"]) == "Mine."
    assert summary(folders.experiments()["mine/deep"]) == ""
    assert {"experiment", "trainer"} <= folders.groups


def test_in_shopkits_own_checkout_its_folder_is_not_taken_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(core_folder().parent)
    assert find_folders(load_registry("")).user is None


def test_options_that_are_files(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "trucks.yaml").touch()
    folders = Folders(None, core_folder(), (tmp_path,))
    assert folders.options("fleet") == ["trucks"]
    assert folders.file("fleet/trucks") == tmp_path / "fleet" / "trucks.yaml"
    assert folders.file("engine/none") is None
