"""A folder that answers in the browser: the file, onnxruntime-web, and a page with a form made from the file's own schema."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from shopkit.errors import ExportError
from shopkit.exporters.base import Exported, Exporter, Fitted
from shopkit.exporters.onnx import OnnxExporter
from shopkit.exporters.settings import WebSettings
from shopkit.raw import distinct_texts
from shopkit.runs import replacing_folder
from shopkit.runtime import Predictor
from shopkit.schema import Column

VERSION = "1.30.0"
GIVEN = "exports=[{name: web, runtime: <folder>}]"
RUNTIME = {
    "ort.wasm.min.js": "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""File of onnxruntime-web's `dist` → SHA-256, of that version."""
FREQUENT = 0.05
"""Share of the rows from which a category may be shown on the page: rare ones could name somebody."""


class WebExporter(Exporter):
    """Writes `index.html`, `model.onnx`, `description.json` and `runtime/`. Serve the folder as it is, from anywhere."""

    settings: WebSettings

    def export(self, fitted: Fitted, folder: Path) -> Exported:
        runtime = Path(self.settings.runtime) if self.settings.runtime else fetched_runtime()
        exported = OnnxExporter(fitted.gate).export(fitted, folder)
        description = page_description(fitted, Predictor(exported.path), self.settings.title)
        text = json.dumps(description, ensure_ascii=False, sort_keys=True, indent=1)
        (folder / "description.json").write_text(text + "\n", encoding="utf-8")
        for name in ("index.html", "page.css", "page.js", "values.js"):
            page = resources.files("shopkit.exporters") / "web_page" / name
            (folder / name).write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
        copy_runtime(runtime, folder / "runtime")
        return Exported(folder, exported.checks)


def page_description(fitted: Fitted, predictor: Predictor, title: str = "") -> dict[str, Any]:
    """What the page is made from: the file's schema, inputs and outputs, and a typical value for each plain column."""
    facts = predictor.description.facts
    columns = predictor.inputs
    typical = {column.name: _typical(fitted.held_out[column.name], column) for column in columns}
    return {
        "title": title or str(facts.get("experiment", "shopkit")),
        "about": f"{facts.get('model', 'A model')} for the task {facts.get('task', '')}, answering in this browser.",
        "schema": columns.to_json(),
        "inputs": predictor.description.inputs,
        "lengths": predictor.description.lengths,
        "outputs": list(predictor.description.outputs),
        "options": list(predictor.description.options),
        "typical": {name: value for name, value in typical.items() if value is not None},
    }


def _typical(values: np.ndarray, column: Column) -> float | str | None:
    """The median of a number, or the commonest category if it is not rare; nothing of times, images and sequences."""
    if column.sequence or column.kind in ("time", "image") or not len(values):
        return None
    if column.kind == "number":
        known = values[~np.isnan(values)]
        return float(f"{np.median(known):.4g}") if len(known) else None
    names, codes = distinct_texts(values[values != ""])
    counts = np.bincount(codes, minlength=len(names))
    if not len(names) or counts.max() < FREQUENT * len(values):
        return None
    return str(names[counts.argmax()])


def copy_runtime(source: Path, target: Path) -> None:
    """Copy onnxruntime-web's three files, each checked.

    Raises:
        ExportError: a file is missing or is not that of the pinned version.
    """
    target.mkdir()
    for name, expected in RUNTIME.items():
        path = source / name
        if not path.is_file():
            raise ExportError(
                f"exporter web: {source} has no {name}. Give the `dist` folder of the npm package onnxruntime-web@{VERSION} with "
                f"{GIVEN}."
            )
        data = path.read_bytes()
        if (found := hashlib.sha256(data).hexdigest()) != expected:
            raise ExportError(
                f"exporter web: {path} is not that of onnxruntime-web {VERSION} (SHA-256 {found[:12]}…, expected "
                f"{expected[:12]}…). The page is made for that version; give its `dist` folder with {GIVEN}."
            )
        (target / name).write_bytes(data)


def fetched_runtime() -> Path:
    """The runtime's files in the user's cache, fetched there by `npm pack` the first time.

    Raises:
        ExportError: npm is missing, or cannot reach its registry.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "shopkit" / f"onnxruntime-web-{VERSION}"
    if all((folder / name).is_file() for name in RUNTIME):
        return folder
    advice = f"Unpack the npm package onnxruntime-web@{VERSION} yourself, and give its `dist` with {GIVEN}."
    npm = shutil.which("npm")
    if npm is None:
        raise ExportError(f"exporter web needs onnxruntime-web {VERSION}, and there is no npm to fetch it with. {advice}")
    with tempfile.TemporaryDirectory(prefix="shopkit-") as temporary:
        call = [npm, "pack", f"onnxruntime-web@{VERSION}", "--silent"]
        done = subprocess.run(call, cwd=temporary, capture_output=True, text=True, check=False)
        packed = next(Path(temporary).glob("*.tgz"), None)
        if done.returncode or packed is None:
            reason = next(iter((done.stderr or done.stdout).strip().splitlines()), "it does not say why")
            raise ExportError(f"exporter web: npm could not fetch onnxruntime-web {VERSION}: {reason}. {advice}")
        with replacing_folder(folder) as fresh, tarfile.open(packed) as archive:
            for name in RUNTIME:
                member = archive.extractfile(f"package/dist/{name}")
                assert member is not None
                (fresh / name).write_bytes(member.read())
    return folder
