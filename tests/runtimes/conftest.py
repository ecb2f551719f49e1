"""What the tests of runtimes share: a run of each family with cases to ask, and the runtimes that are here."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from shopkit.runs import Run
from shopkit.runtime import Predictor
from tests.runtimes.families import FAMILIES, Row, train

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
REQUIRED = "SHOPKIT_RUNTIMES"
"""Environment variable with the runtimes that must be here, with commas between, or `all`: one that is not fails its tests, which
are skipped else."""
NAMES = ("node", "chromium", "openvino", "cpp")

Answer = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A file, what it is asked (batches of rows with options), and what shopkit answers."""

    run: Run
    batches: Sequence[dict[str, Any]]
    path: Path
    """The batches as JSON."""
    expected: Sequence[Answer]


def absent(name: str, reason: str) -> NoReturn:
    asked = os.environ.get(REQUIRED, "")
    required = set(NAMES) if asked == "all" else {word for word in asked.split(",") if word}
    assert required <= set(NAMES), f"{REQUIRED}={asked}: there are {', '.join(NAMES)}"
    if name in required:
        pytest.fail(f"{reason} ({REQUIRED}={asked})")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """The case of a family by its name; each is trained once."""

    @functools.cache
    def made(name: str) -> Case:
        folder = tmp_path_factory.mktemp(name)
        family = FAMILIES[name](folder / "data")
        exports = [f"{{name: web, runtime: {MODULES / 'onnxruntime-web' / 'dist'}}}"] if MODULES.is_dir() else []
        run = train(family, folder / "run", [*exports, "openvino"] if _has_openvino() else exports)
        batches = [{"rows": [row], "options": options} for row in family.rows for options in family.options]
        if name != "image":  # its rows differ in size
            batches.append({"rows": list(family.rows), "options": family.options[-1]})
        path = folder / "cases.json"
        path.write_text(json.dumps(batches), encoding="utf-8")
        return Case(run, batches, path, answered(Predictor(run.path), batches))

    return made


def _has_openvino() -> bool:
    try:
        import openvino  # noqa: F401
    except ImportError:
        return False
    return True


def answered(predictor: Predictor, batches: Sequence[Mapping[str, Any]]) -> list[Answer]:
    """What a predictor says, by output."""
    images = {column.name for column in predictor.inputs if column.kind == "image"}

    def value(row: Row, name: str) -> Any:
        return np.array(row[name], np.uint8) if name in images else row[name]

    found = []
    for batch in batches:
        columns = {name: [value(row, name) for row in batch["rows"]] for name in predictor.inputs.names}
        found.append(predictor.columns(columns, options=predictor._asked(batch["options"])))
    return found


def compare(got: Sequence[Mapping[str, Any]], expected: Sequence[Answer], tolerance: float = 1e-5) -> None:
    """Texts equal, numbers within the tolerance, relative above 1."""
    assert len(got) == len(expected)
    for number, (answer, truth) in enumerate(zip(got, expected, strict=True)):
        assert set(answer) == set(truth)
        for name, values in truth.items():
            given = np.asarray(answer[name], object if values.dtype == object else np.float64)
            assert given.shape == values.shape, f"batch {number}, {name}"
            if values.dtype == object:
                assert given.tolist() == values.tolist(), f"batch {number}, {name}"
            else:
                np.testing.assert_allclose(given, values, rtol=tolerance, atol=tolerance, err_msg=f"batch {number}, {name}")


@pytest.fixture(scope="session")
def node() -> list[str]:
    """The command that runs a module, with the pinned packages beside it."""
    program = shutil.which("node")
    if program is None:
        absent("node", "Node is not installed")
    if not MODULES.is_dir():
        absent("node", f"{MODULES} is not there; make test-runtimes installs it")
    # Node has WebSocket since 22; before, behind a flag.
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return [program, *(["--experimental-websocket"] if int(version[1:].split(".")[0]) < 22 else [])]


@pytest.fixture(scope="session")
def chromium() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    program = next(filter(None, map(shutil.which, names)), None)
    return program or absent("chromium", f"none of {', '.join(names)} is installed")


@pytest.fixture
def served() -> Iterator[Callable[[Path], str]]:
    """Folder → its address on a server of this machine, for the time of a test."""
    servers = []

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *values: object) -> None:
            pass

    def serve(folder: Path) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/index.html"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
