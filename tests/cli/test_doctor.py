from __future__ import annotations

from importlib import metadata

import pytest

from shopkit.cli import doctor
from tests.cli.conftest import Shopkit
from tests.plugins import Install, install, model

__all__ = ["install"]

VERSION = metadata.version


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    """Pretend that these distributions have these versions; "" is not installed."""

    def version(name: str) -> str:
        given = versions.get(name.replace("-", "_"))
        if given == "":
            raise metadata.PackageNotFoundError(name)
        return given or VERSION(name)

    monkeypatch.setattr(doctor.metadata, "version", version)


def test_a_healthy_installation(shopkit: Shopkit, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, onnxruntime="1.31.1", onnxruntime_gpu="")
    install("shopkit-trees", model("trees"))
    code, out, _ = shopkit("doctor")
    assert code == 0
    assert out.endswith("\nNo problems found.\n")
    lines = [line.split() for line in out.splitlines()]
    assert ["shopkit-trees", "(trees)", "1.2", "1"] in lines
    assert any(line[:1] == ["providers"] and "CPUExecutionProvider" in line[-1] for line in lines)
    assert any(line[:1] == ["devices"] and "cpu" in line[1] for line in lines)
    assert "not installed, and not to be installed beside onnxruntime" in out


def test_both_onnx_runtimes_are_a_clash(shopkit: Shopkit, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, onnxruntime="1.31.1", onnxruntime_gpu="1.31.1")
    code, out, _ = shopkit("doctor")
    assert code == 1
    assert "onnxruntime 1.31.1, onnxruntime-gpu 1.31.1" in out
    assert "Problem: both onnxruntime and onnxruntime-gpu are installed. They overwrite each other" in out


def test_what_is_missing_for_what(shopkit: Shopkit, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, onnxruntime="", onnxruntime_gpu="", torch="", tensorboard="")
    code, out, _ = shopkit("doctor")
    assert code == 1
    assert 'Problem: no ONNX Runtime is installed: pip install "shopkit[cpu]", or "shopkit[gpu]" on a machine with CUDA.' in out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "torch not installed" in lines
    assert 'tensorboard logger=tensorboard missing tensorboard: pip install "shopkit[tensorboard]"' in lines
    assert any(line.startswith("train shopkit run, report and compare missing torch: ") for line in lines)


def test_a_plugin_that_failed_is_shown_with_its_traceback(shopkit: Shopkit, install: Install) -> None:
    install("shopkit-broken", "import no_such_library")
    code, out, _ = shopkit("doctor")
    assert code == 1
    assert "Plugin broken (shopkit-broken 1.2): ModuleNotFoundError: No module named 'no_such_library'\n  Traceback" in out
    assert "Problem: 1 plugin(s) failed to load." in out
