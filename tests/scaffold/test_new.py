"""`shopkit new plugin`: what it makes is whole. The tests that install it with pip are in tests/packaging."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shopkit.cli import main
from shopkit.component import FAMILIES
from shopkit.config import compose
from shopkit.errors import ConfigError, PluginError
from shopkit.registry import load_registry
from shopkit.scaffold import KINDS, new_plugin
from shopkit.testing.checks import cases
from tests.plugins import place


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOPKIT_PLUGINS", "")
    return tmp_path


def made(family: str, name: str, folder: Path) -> Path:
    return new_plugin(name, family, folder, load_registry(""))


def test_there_is_a_kind_for_each_family() -> None:
    assert set(KINDS) == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_listed_and_its_experiment_composes(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"new-{family}"
    place(made(family, name, tmp_path), monkeypatch)
    registry = load_registry()
    assert not registry.failures
    assert not registry.notes
    found = registry.find(family, f"new_{family}")
    assert (found.distribution, found.version) == (f"shopkit-{name}", "0.1.0")
    assert compose(f"new_{family}", registry=registry).name == f"new_{family}"


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_is_formatted_and_clean(family: str, tmp_path: Path) -> None:
    folder = made(family, "a-b", tmp_path)
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    for path in folder.rglob("*"):
        assert path.is_dir() or "{{" not in path.read_text(encoding="utf-8").replace("${{ matrix.python }}", "")


@pytest.mark.slow
def test_a_generated_plugin_passes_its_own_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made("models", "trees", tmp_path)
    environment = place(folder, monkeypatch)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("family", ["features", "sources"])
def test_a_generated_component_keeps_its_contract(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(made(family, f"kept-{family}", tmp_path), monkeypatch)
    for case in cases(f"shopkit-kept-{family}", registry=load_registry()):
        work = tmp_path / case.id
        work.mkdir()
        result = case.result(work)
        assert result.ok, result.message


def test_the_verb(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "plugin", "shopkit-gradient-boosting", "--family", "model", "-o", str(tmp_path)]) == 0
    out, _ = capfd.readouterr()
    folder = tmp_path / "shopkit-gradient-boosting"
    assert f"{folder}/shopkit_gradient_boosting/hooks.py" in out.splitlines()
    assert out.endswith(
        f"Try it:\n  pip install -e {folder}\n  shopkit run +experiment=gradient_boosting\n"
        f"  shopkit plugins check shopkit-gradient-boosting\n  pytest {folder}\n"
    )


@pytest.mark.parametrize(
    ("name", "family", "message"),
    [
        ("Trees", "models", r"'Trees' cannot name a plugin: write lower-case letters and digits, with '-' between words"),
        ("9lives", "models", "'9lives' cannot name a plugin"),
        ("trees", "modles", r"There is no family 'modles'\. Did you mean 'models'\? Families: sources, views,"),
        ("mlp", "models", r"There is a model 'mlp' already, of shopkit .*\. Choose another name"),
        ("onnx", "exporters", r"There is an exporter 'onnx' already"),
    ],
)
def test_what_cannot_be_made(name: str, family: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        made(family, name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "shopkit-trees").mkdir()
    with pytest.raises(ConfigError, match=r"shopkit-trees is there already\. Choose another name, or another folder with -o\."):
        made("models", "trees", tmp_path)


def test_without_jinja2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(PluginError, match=r'shopkit new needs jinja2: pip install "shopkit\[train\]"'):
        made("models", "trees", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plugin"], "the following arguments are required: NAME, --family"),
        (["plug", "x", "--family", "models"], "invalid choice"),
    ],
)
def test_arguments(arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["new", *arguments]) == 2
    assert message in capfd.readouterr().err
