"""Cases as a report shows them."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from typing import Any

import pytest

from shopkit.report import render
from shopkit.report.cases import cards, method
from shopkit.runs import write_json

HOSTILE = "<script>alert(1)</script>"


def case(**changes: Any) -> dict[str, Any]:
    return {
        "row": {"review": "r1"},
        "right": False,
        "target": "0",
        "label": "1",
        "confidence": 0.97,
        "score": 3.2,
        "reference": -0.4,
        "gap": 0.01,
        "texts": [
            {"column": "review", "pieces": [["Too", 0.5], [" ", 0.3], ["small", -1.0], [" ", 0.0], ["or", 0.01], ["so", 0.02]],
             "rest": 0.0, "is_cut": True, "attention": [["Too", 0.1], [" ", 0.0], ["small", 0.4]]}
        ],
        "columns": [{"column": "age", "value": None, "share": -0.25}],
        "steps": {"columns": ["item"], "rows": [{"values": ["tea"], "share": 0.5}]},
        "image": {"pixels": [[[0, 255], [9, 8]]], "shares": [[0.5, -1.0], [0.0, 0.1]]},
        **changes,
    }  # fmt: skip


def test_strengths_are_relative_to_the_strongest_and_faint_pieces_are_joined():
    (card,) = cards({"method": "exact", "cases": [case()]})
    text = card["texts"][0]
    assert text["pieces"] == [("Too", 0.5), (" ", 0.0), ("small", -1.0), (" orso", 0.0)]
    assert text["attention"] == [("Too", 0.25), (" ", 0.0), ("small", 1.0)]
    (column,) = card["columns"]
    assert (column["value"], column["start"], column["width"]) == ("(missing)", 37.5, 12.5)
    (step,) = card["steps"]
    assert (step["place"], step["values"], step["start"], step["width"]) == (1, ["tea"], 50, 25.0)
    assert step["looked"] is None
    assert card["row"] == "review r1"


def test_steps_that_are_weighed_show_how_much_they_are_looked_at(make_run):
    steps = {"columns": ["item"], "rows": [{"values": [str(i)], "share": 0.5, "attention": w} for i, w in enumerate((0.1, 0.4))]}
    (card,) = cards({"cases": [case(steps=steps)]})
    assert [step["looked"] for step in card["steps"]] == [25.0, 100.0]
    run = make_run("binary")
    write_json(run.cases_path, {"method": "exact", "cases": [case(steps=steps), case()]})
    render(run)
    page = run.report_path.read_text(encoding="utf-8")
    assert page.count("<th>looked at</th>") == 1
    assert '<i style="left:0;width:25.0%"></i>' in page


def test_a_case_in_which_nothing_counts():
    (card,) = cards({"cases": [case(texts=[], columns=[], steps=None, image=None)]})
    assert (card["texts"], card["columns"], card["steps"], card["image"]) == ([], [], [], None)
    assert method({"method": "exact"}).startswith("The score is a sum")


@pytest.mark.parametrize(("channels", "color_type", "size"), [(1, 0, 1), (3, 2, 3)])
def test_images_are_png(channels, color_type, size):
    pixels = [[[10 * c + x + 2 * y for x in range(3)] for y in range(2)] for c in range(channels)]
    (card,) = cards({"cases": [case(image={"pixels": pixels, "shares": [[1.0, 0.0, -0.5], [0.0, 0.0, 0.0]]})]})
    png = base64.b64decode(card["image"]["pixels"].removeprefix("data:image/png;base64,"))
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">IIBB", png[16:26]) == (3, 2, 8, color_type)
    data = zlib.decompress(png[41 : 41 + struct.unpack(">I", png[33:37])[0]])
    assert len(data) == 2 * (1 + 3 * size)
    assert data[1 : 1 + size] == bytes(10 * c for c in range(channels))
    overlay = base64.b64decode(card["image"]["shares"].removeprefix("data:image/png;base64,"))
    first = zlib.decompress(overlay[41 : 41 + struct.unpack(">I", overlay[33:37])[0]])[1:5]
    assert first == bytes([10, 91, 211, 255])


def test_the_page_shows_cases_only_if_there_are_any(make_run):
    run = make_run("binary")
    render(run)
    assert 'id="cases"' not in run.report_path.read_text(encoding="utf-8")
    pieces = [[HOSTILE, 1.0], ["small", -0.5]]
    texts = [{"column": HOSTILE, "pieces": pieces, "rest": 0.0, "is_cut": False}]
    write_json(run.cases_path, {"method": "integrated gradients", "cases": [case(texts=texts, label=HOSTILE), case(right=True)]})
    render(run)
    page = run.report_path.read_text(encoding="utf-8")
    section = re.search(r'<section id="cases">.*?</section>', page, re.DOTALL)
    assert section is not None
    assert HOSTILE not in page
    assert '<mark class="against" style="--v:0.5">small</mark>' in section[0]
    assert "Wrong</span>: says" in section[0]
    assert "Right</span>: says" in section[0]
    assert 'href="#cases"' in page
    assert page.count("<article") == page.count("</article>") == 2
    assert "Sundararajan" in section[0]


def test_of_numbers_it_shows_what_was_said_and_what_is(make_run):
    run = make_run("regression")
    one = {name: value for name, value in case().items() if name not in ("right", "label", "confidence")}
    write_json(run.cases_path, {"method": "exact", "cases": [{**one, "target": 1234.5, "prediction": 1000.0}]})
    render(run)
    page = run.report_path.read_text(encoding="utf-8")
    assert re.search(r"<h3>Says <b>1[\s,\u202f\u2009]?000</b>; it is <b>1[\s,\u202f\u2009]?23[45](\.5)?</b></h3>", page)
    assert "half those that were missed by most" in page
    assert "the model is surest of" not in page
