"""The exported file in headless Chromium (WebAssembly), through the page of the `web` export: typed into, clicked, read."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from shopkit.runtime import Predictor
from tests.runtimes.conftest import HERE, Answer, Case, answered
from tests.runtimes.families import EVERY

pytestmark = pytest.mark.runtimes

Asked = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def ask(node: list[str], chromium: str, served: Callable[[Path], str], tmp_path: Path) -> Asked:
    """Type rows into a page, one after the other, and click on Answer."""

    def ask(folder: Path, typed: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        cases = tmp_path / "typed.json"
        cases.write_text(json.dumps(typed), encoding="utf-8")
        command = [*node, HERE / "browser.mjs", chromium, served(folder), cases]
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as room:  # a short path, as Chromium has a socket in it
            environment = os.environ | {"TMPDIR": room}
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    return ask


def keyed(value: Any) -> Any:
    """What a person types for a plain value."""
    if isinstance(value, list):
        return [keyed(item) for item in value]
    if value is None:
        return ""
    return str(int(value) if isinstance(value, bool) else value)


def typed_rows(asked: Case, folder: Path) -> list[dict[str, Any]]:
    """The rows that are asked alone; a missing value and an empty list are left as they are."""
    images = {column.name for column in Predictor(asked.run.path).inputs if column.kind == "image"}
    rows = []
    for number, batch in enumerate(batch for batch in asked.batches if len(batch["rows"]) == 1):
        values = {**batch["rows"][0], **batch["options"]}
        row = {name: keyed(value) for name, value in values.items() if value is not None and value != [] and name not in images}
        for name in images & set(values):
            path = folder / f"{number}.png"
            Image.fromarray(np.array(values[name], np.uint8)[:, :, 0]).save(path)
            row[name] = {"file": str(path)}
        rows.append(row)
    return rows


def compare(shown: Sequence[Mapping[str, Any]], expected: Sequence[Answer], outputs: Sequence[Mapping[str, Any]]) -> None:
    """What is shown, of six digits, is what was expected. Outputs that are lists side by side are the columns of one table."""
    lists = [output["name"] for output in outputs if output.get("per")]
    for number, (found, truth) in enumerate(zip(shown, expected, strict=True)):
        assert found["state"].startswith("Answered in"), found
        for output in outputs:
            values = np.atleast_1d(truth[output["name"]][0])
            texts = found["outputs"][" ".join(lists) if output.get("per") else output["name"]]
            if output.get("classes"):
                texts = [dict(texts)[str(label)] for label in output["classes"]]
            elif output.get("per"):
                # Where there are fewer items than were asked for, the rest are not shown.
                of_items = [truth[name][0] for name in lists if truth[name].dtype == object]
                values = values[np.all([names != "" for names in of_items], axis=0)]
                texts = [cells[lists.index(output["name"])] for cells in texts] if len(values) else []
            texts = np.atleast_1d(texts)
            if output["dtype"] == "string":
                assert texts.tolist() == values.tolist(), f"row {number}"
            else:
                numbers = [float(text.replace("Infinity", "inf")) for text in texts]
                np.testing.assert_allclose(numbers, values, rtol=2e-5, atol=1e-5, err_msg=f"row {number}")


@pytest.mark.parametrize("family", EVERY)
def test_the_page_gives_the_same_answers(family: str, case: Callable[[str], Case], ask: Asked, tmp_path: Path) -> None:
    asked = case(family)
    typed = typed_rows(asked, tmp_path)
    shown = ask(asked.run.path / "exports" / "web", typed)
    compare(shown, asked.expected[: len(typed)], Predictor(asked.run.path).description.outputs)


def test_a_time_is_one_of_the_columns_zone(case: Callable[[str], Case], ask: Asked, tmp_path: Path) -> None:
    run = case("tabular").run
    folder = tmp_path / "web"
    shutil.copytree(run.path / "exports" / "web", folder)
    description = json.loads((folder / "description.json").read_text(encoding="utf-8"))
    (at,) = (column for column in description["schema"] if column["name"] == "at")
    at["unit"] = "Europe/Berlin"
    (folder / "description.json").write_text(json.dumps(description), encoding="utf-8")
    predictor = Predictor(run.path)
    row: dict[str, Any] = {"pages": 6, "seconds": 61.5, "channel": "search", "browser": 3, "is_weekend": True}
    typed = {name: keyed(value) for name, value in row.items()}
    shown = ask(folder, [{**typed, "at": "2024-07-01T00:30:00", "is_weekend": "true"}])
    expected = answered(predictor, [{"rows": [{**row, "at": "2024-07-01T00:30:00+02:00"}], "options": {}}])
    compare(shown, expected, predictor.description.outputs)
    elsewhere = answered(predictor, [{"rows": [{**row, "at": "2024-07-01T00:30:00"}], "options": {}}])
    assert elsewhere[0]["probability"] != expected[0]["probability"]


class _Listener(BaseHTTPRequestHandler):
    heard: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.heard.append(self.path)
        self.send_response(204)
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *values: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The address of another server, which says nothing."""
    _Listener.heard.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


LEAK = """
const leaks = [
  () => fetch("ADDRESS/fetch", { mode: "no-cors" }),
  () => navigator.sendBeacon("ADDRESS/beacon", "row") || Promise.reject(),
  () => new Promise((done, stopped) => Object.assign(new Image(), { onload: done, onerror: stopped, src: "ADDRESS/image" })),
  () => new Promise((done, stopped) => {
    const script = document.createElement("script");
    document.head.append(Object.assign(script, { onload: done, onerror: stopped, src: "ADDRESS/script" }));
  }),
];
Promise.allSettled(leaks.map((leak) => leak())).then(() => {
  element("form").onsubmit = () => {
    element("state").textContent = "done";
    if (!GUARDED) return false;
    element("form").action = "ADDRESS/form";
    return true;
  };
  element("answer").disabled = false;
});
"""


@pytest.mark.parametrize("is_guarded", [True, False])
def test_nothing_leaves_the_page(is_guarded: bool, ask: Asked, elsewhere: str, tmp_path: Path) -> None:
    """What a script on the page sends to another server does not arrive; it would without the page's policy."""
    page = resources.files("shopkit.exporters") / "web_page"
    html = (page / "index.html").read_text(encoding="utf-8")
    policy = re.search(r'<meta http-equiv="Content-Security-Policy".*?>', html)
    assert policy is not None
    (tmp_path / "index.html").write_text(html if is_guarded else html.replace(policy[0], ""), encoding="utf-8")
    script = LEAK.replace("ADDRESS", elsewhere).replace("GUARDED", str(is_guarded).lower())
    (tmp_path / "page.js").write_text("const element = (id) => document.getElementById(id);\n" + script, encoding="utf-8")
    (found,) = ask(tmp_path, [{}])
    assert found["state"] == "done"
    assert set(_Listener.heard) == (set() if is_guarded else {"/fetch", "/beacon", "/image", "/script"})


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "tabular": ({"pages": "six"}, "pages: “six” is not a number."),
    "sequence": ({"items": ["milk", "bread"], "prices": ["3"]}, "need equally many lines: items has 2, prices has 1."),
    "neighbours": ({"history": ["103"], "k": "2.5"}, "k: “2.5” is not a whole number."),
    "image": ({"image": {"file": str(Path(__file__))}}, "is not an image that this browser reads."),
}


AT_A_FIELD = {"tabular": "pages", "neighbours": "k", "image": "image"}
"""Of which field each of these is said."""


@pytest.mark.parametrize("family", [parameter for parameter in EVERY if parameter.values[0] in WRONG])
def test_the_page_says_what_is_wrong(family: str, case: Callable[[str], Case], ask: Asked) -> None:
    row, message = WRONG[family]
    (found,) = ask(case(family).run.path / "exports" / "web", [row])
    assert message in found["state"]
    assert found["outputs"] == {}
    assert found["said"] == ({AT_A_FIELD[family]: found["state"]} if family in AT_A_FIELD else {})
