from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
import tarfile
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from shopkit.errors import ExportError
from shopkit.exporters import web
from shopkit.exporters.base import export_apart
from shopkit.exporters.settings import OnnxSettings, WebSettings
from shopkit.exporters.web import WebExporter
from shopkit.runtime import Predictor
from tests.handmade import WEIGHT, make_fitted


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for onnxruntime-web's `dist`."""
    folder = tmp_path / "dist"
    folder.mkdir()
    for name in web.RUNTIME:
        (folder / name).write_text(f"// {name}")
    pins = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in web.RUNTIME}
    monkeypatch.setattr(web, "RUNTIME", pins)
    return folder


def export(tmp_path: Path, runtime: str) -> Path:
    return export_apart(WebExporter(WebSettings(runtime=runtime)), make_fitted(), tmp_path / "out").path


def test_the_folder_holds_all_that_the_page_needs(tmp_path: Path, runtime: Path) -> None:
    folder = export(tmp_path, str(runtime))
    assert {path.name for path in folder.iterdir()} == {
        "index.html",
        "page.css",
        "page.js",
        "values.js",
        "description.json",
        "model.onnx",
        "runtime",
    }
    assert {path.name for path in (folder / "runtime").iterdir()} == set(web.RUNTIME)
    page = (folder / "index.html").read_text()
    assert "://" not in page + (folder / "page.js").read_text()
    assert Predictor(folder / "model.onnx")({"price": 1.0, "color": "red"})["label"] in ("yes", "no")


def test_the_page_is_made_from_the_files_own_schema(tmp_path: Path, runtime: Path) -> None:
    description = json.loads((export(tmp_path, str(runtime)) / "description.json").read_text())
    assert description["title"] == "test"
    assert [column["name"] for column in description["schema"]] == ["price", "color"]
    assert [output["name"] for output in description["outputs"]] == ["probability", "label"]
    assert description["options"] == []
    assert description["inputs"] == {"price": "price", "color": "color"}
    assert description["typical"]["color"] in ("red", "blue", "green")


def test_rare_categories_are_not_shown() -> None:
    from shopkit.schema import Column

    names = np.array([f"customer {i}" for i in range(100)], object)
    assert web._typical(names, Column("customer", "string")) is None
    assert web._typical(np.array([np.nan, 1, 2, 9], np.float32), Column("price", "number")) == 2.0


def test_a_runtime_of_another_version_is_refused(tmp_path: Path, runtime: Path) -> None:
    (runtime / "ort.wasm.min.js").write_text("another")
    with pytest.raises(ExportError, match=r"ort\.wasm\.min\.js is not that of onnxruntime-web 1\.30\.0 \(SHA-256"):
        export(tmp_path, str(runtime))
    assert not (tmp_path / "out").exists()


def test_a_folder_without_the_runtime_is_refused(tmp_path: Path, runtime: Path) -> None:
    with pytest.raises(ExportError, match=r"has no ort\.wasm\.min\.js\. Give the `dist` folder of the npm package"):
        export(tmp_path, str(tmp_path / "nowhere"))


def test_without_npm_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match=r"there is no npm to fetch it with\. Unpack the npm package onnxruntime-web@1\.30\.0"):
        export(tmp_path, "")


def fake_npm(tmp_path: Path, script: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(npm.stat().st_mode | stat.S_IEXEC)


def test_the_runtime_is_fetched_once(tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as archive:
        archive.add(runtime, "package/dist")
    cp = shutil.which("cp")
    fake_npm(tmp_path, f"{cp} {tmp_path / 'package.tgz'} onnxruntime-web.tgz; echo fetched >> {tmp_path / 'calls'}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for _ in range(2):
        folder = export(tmp_path, "")
        assert {path.name for path in (folder / "runtime").iterdir()} == set(web.RUNTIME)
    assert (tmp_path / "calls").read_text().count("fetched") == 1


def test_npm_without_a_network_is_told_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(tmp_path, "echo 'getaddrinfo ENOTFOUND' >&2; exit 1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}")
    with pytest.raises(ExportError, match=r"npm could not fetch onnxruntime-web 1\.30\.0: getaddrinfo ENOTFOUND"):
        export(tmp_path, "")


def test_the_file_is_held_to_the_runs_own_tolerance(tmp_path: Path, runtime: Path) -> None:
    near = replace(
        make_fitted(exported_weight=WEIGHT + np.float32(0.01)), gate=OnnxSettings(absolute_tolerance=0.1, relative_tolerance=0.1)
    )
    assert WebExporter(WebSettings(runtime=str(runtime))).export(near, tmp_path).path.is_dir()


def _luminance(color: str) -> float:
    """WCAG's relative luminance of `#rrggbb`."""
    shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_shown_stands_out_as_wcag_asks(scheme: str) -> None:
    css = (resources.files("shopkit.exporters") / "web_page" / "page.css").read_text(encoding="utf-8")
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in re.findall(r":root \{(.*?)\}", css, re.DOTALL))
    color = light if scheme == "light" else light | dark
    assert set(light) == set(dark)

    def contrast(front: str, back: str) -> float:
        low, high = sorted((_luminance(color[front]), _luminance(color[back])))
        return (high + 0.05) / (low + 0.05)

    for front, back in (("ink", "card"), ("ink", "back"), ("soft", "card"), ("soft", "back"), ("wrong", "card")):
        assert contrast(front, back) >= 4.5, (front, back)
    assert contrast("on-accent", "accent") >= 4.5
    for back in ("card", "back"):
        assert contrast("edge", back) >= 3, back
        assert contrast("accent", back) >= 3, back
