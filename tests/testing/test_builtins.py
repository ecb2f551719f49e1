"""Every built-in component keeps its contract."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from pathlib import Path

from shopkit.exporters import web
from shopkit.registry import load_registry
from shopkit.testing import conformance

SETTINGS = {
    "wordpiece": {"vocabulary": "scratch", "vocabulary_size": 200},
    "bert": {"encoder": "scratch", "hidden_dim": 16, "heads": 2, "layers": 1},
}
"""Instead of an encoder for English, what any vocabulary and texts will do for."""
ROUNDS = "it trades exactness for speed or size, and says how much"
KNOWN = {
    f"{name}:check_exporters_{check}": ROUNDS
    for name in ("int8", "fp16")
    for check in ("compare_file_and_model", "file_answers_as_the_model")
    if (name, check) != ("fp16", "file_answers_as_the_model")
}
FOLDER = Path(tempfile.mkdtemp(prefix="shopkit-dist-"))
"""A stand-in for the files of onnxruntime-web, which only its exporter fetches."""
for name in web.RUNTIME:
    (FOLDER / name).write_text(f"// {name}")
    web.RUNTIME[name] = hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
SETTINGS["web"] = {"runtime": str(FOLDER)}

test_conformance = conformance("shopkit", registry=load_registry(""), settings=SETTINGS, known_failures=KNOWN)
