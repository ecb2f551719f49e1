"""The report on a phone: in a browser, as wide as a phone's."""

from __future__ import annotations

import html
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from shopkit.report import render
from shopkit.runs import Run
from shopkit.schema import Column
from tests.report.conftest import make_run  # noqa: F401 (a fixture)

pytestmark = pytest.mark.runtimes
PHONE = 390
"""CSS pixels across."""
MEASURED = """<script>
const beyond = (what, box) => [what, box.scrollWidth - box.clientWidth];
const tables = () => [...document.querySelectorAll(".bars")].map(table => beyond("table", table.parentElement));
addEventListener("load", () => parent.postMessage(JSON.stringify([beyond("page", document.documentElement), ...tables()]), "*"));
</script></body>"""
AROUND = """<pre></pre><script>onmessage = event => document.querySelector("pre").textContent = event.data</script>
<iframe src="{page}" style="border: 0; width: {width}px; height: 2000px"></iframe>"""


def beyond(chromium: str, page: Path, width: int) -> list[tuple[str, int]]:
    """By how many pixels the page, and each table of bars in it, is wider than what shows it."""
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')  # which lets no script measure
    measured, around = page.with_name("measured.html"), page.with_name("around.html")
    measured.write_text(policy.sub("", page.read_text(encoding="utf-8")).replace("</body>", MEASURED), encoding="utf-8")
    around.write_text(AROUND.format(page=measured.name, width=width), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--virtual-time-budget=5000"]
    command = [chromium, *flags, "--window-size=1400,2100", "--dump-dom", around.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = re.search(r"<pre>(.+?)</pre>", shown, re.DOTALL)
    assert found, shown[-1000:]
    return [(what, pixels) for what, pixels in json.loads(html.unescape(found[1]))]


@pytest.mark.parametrize("kind", ["binary", "regression"])
@pytest.mark.parametrize("width", [PHONE, 1280])
def test_names_bars_and_their_figures_are_in_sight(
    chromium: str,
    make_run: Callable[..., Run],  # noqa: F811
    kind: str,
    width: int,
) -> None:
    names = ("recency_days", "department_share_GROCERY_112_days", "AVeryLongNameThatNothingDividesButWhichIsThere")
    run = make_run(kind, columns=tuple(Column(name, "number") for name in names))
    render(run)
    found = beyond(chromium, run.report_path, width)
    assert len(found) == 3  # the page, the baselines, and what drives the answers
    assert max(pixels for _, pixels in found) <= 0, found
