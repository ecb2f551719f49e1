"""`render` over whole run folders."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from shopkit.errors import RunError
from shopkit.report import figures, render
from shopkit.runs import Run, file_hash, read_json, write_json
from shopkit.schema import Column

MakeRun = Callable[..., Run]
KINDS = ("binary", "multiclass", "regression")
VOID = {"meta", "br", "wbr", "link", "img", "hr", "input"}
HOSTILE = "<script>alert('x')</script>\"&|`"


class Page(HTMLParser):
    """What is in a page; raises if tags are not balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.headings: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attributes)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.links += [value or "" for name, value in attributes if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.open[-1:] == ["h2"]:
            self.headings.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(run: Run) -> tuple[str, Page]:
    render(run)
    text = run.report_path.read_text(encoding="utf-8")
    return text, Page(text)


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_whole_self_contained_and_small(make_run: MakeRun, kind: str) -> None:
    run = make_run(kind)
    assert render(run) == [run.report_path, run.card_path]
    text, page = page_of(run)
    assert len(text.encode()) < 1_500_000
    assert "script" not in page.tags
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"@import|url\(|@font-face", text)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "not recorded" not in page.text
    assert "nan" not in re.findall(r"\w+", text)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_folders_give_equal_bytes(make_run: MakeRun, kind: str) -> None:
    runs = [make_run(kind, name=name) for name in ("same", "other")]
    for run in runs:
        config = run.config_path.read_text().replace("name: other", "name: same")
        run.config_path.write_text(config)
        render(run)
    for path in ("report.html", "model_card.md"):
        assert (runs[0].path / path).read_bytes() == (runs[1].path / path).read_bytes()


def test_the_page_says_what_a_reader_wants_to_know(make_run: MakeRun) -> None:
    run = make_run("binary")
    _, page = page_of(run)
    for words in (
        "The top 20\u00a0% of the list catch",
        "Not distinguishable from boosted trees: AUROC −0.002",
        "0.902 to 0.922",
        "the 7 days after the cut-off are not over yet",
        "taken for an identifier",
        "The leakage audit found nothing",
        "52.0\u00a0µs",
        "free for research and teaching",
        "5d41402abc4b2a76",
        file_hash(run.model_path),
        "onnxruntime-node",
        "whole groups (2,063): rows of one household stay together",
    ):
        assert " ".join(words.split()) in page.text
    assert page.headings == [
        *("What was asked", "How good it is", "Which to pick", "Decision", "What drives it", "Segments", "Data", "Drift"),
        *("Training", "Features", "The file", "How to call it", "Provenance"),
    ]
    assert page.tags.count("svg") - page.text.count("in the picture") >= 9


def test_user_data_is_escaped_everywhere(make_run: MakeRun) -> None:
    columns = (Column(HOSTILE, "number", unit=HOSTILE, note=HOSTILE), Column("id", "string", "key"))
    run = make_run(
        "binary",
        columns=columns,
        classes=("no" + HOSTILE, "yes" + HOSTILE),
        audit=[{"check": "x", "severity": "warning", "column": HOSTILE, "value": 1.0, "message": HOSTILE}],
        segments=[{"column": HOSTILE, "kind": "string", "rows": [
            {"segment": HOSTILE, "n": 5, "share": 1.0, "target": 0.1, "predicted": 0.1, "metrics": {"auroc": {"value": 0.9}}}]}],
    )  # fmt: skip
    run.config_path.write_text(json.dumps({"name": HOSTILE, "model": {"name": HOSTILE, HOSTILE: HOSTILE}}))
    text, page = page_of(run)
    assert "script" not in page.tags
    assert "<script" not in text
    assert page.text.count("alert('x')") > 10


def test_neither_passwords_nor_single_customers_are_printed(make_run: MakeRun) -> None:
    run = make_run("binary")
    text, _ = page_of(run)
    for written in (text, run.card_path.read_text()):
        assert "hunter2" not in written
        assert "secret-" not in written


def test_a_password_setting_is_blotted_out(make_run: MakeRun) -> None:
    run = make_run("binary")
    run.config_path.write_text(
        "name: x\nsource: {name: shop, api_key: abc123, nested: [{password: swordfish}], url: 'pg://host/db?password=opensesame&ssl=1'}\n"
    )
    text, _ = page_of(run)
    assert "abc123" not in text
    assert "swordfish" not in text
    assert "opensesame" not in text
    assert "ssl=1" in text
    assert "•••" in text


def test_warnings_of_the_audit_stand_at_the_top(make_run: MakeRun) -> None:
    message = "Column 'refund_id' alone predicts the target nearly perfectly."
    audit = [{"check": "one_column_predicts", "severity": "warning", "column": "refund_id", "value": 0.998, "message": message}]
    text, page = page_of(make_run("binary", audit=audit))
    assert text.index("refund_id") < text.index('id="asked"')
    assert "The leakage audit found nothing" not in page.text


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_said_not_guessed(make_run: MakeRun, kind: str) -> None:
    run = make_run(kind)
    for name in ("examples", "split", "features", "train", "export", "evaluate"):
        (run.path / "stages" / f"{name}.json").unlink()
    for path in (run.manifest_path, run.examples_path, run.model_path, run.config_path):
        path.unlink()
    write_json(run.metrics_path, {"kind": kind})
    _, page = page_of(run)
    assert page.text.count("not recorded in this run") >= 8
    assert "not sealed yet" in page.text
    assert "Not recorded in this run." in run.card_path.read_text()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "key", ["target", "interval", "about", "metrics", "baselines", "curves", "segments", "importance", "drift"]
)
def test_any_one_key_of_the_metrics_may_be_missing(make_run: MakeRun, kind: str, key: str) -> None:
    run = make_run(kind)
    metrics = read_json(run.metrics_path)
    del metrics[key]
    write_json(run.metrics_path, metrics)
    page_of(run)


def test_values_that_do_not_exist_are_dashes(make_run: MakeRun) -> None:
    run = make_run("binary")
    metrics = read_json(run.metrics_path)
    metrics["metrics"]["test"]["f1"] = {"value": None, "low": None, "high": None}
    metrics["segments"][0]["rows"][0]["metrics"] = {"auroc": {"value": None, "low": None, "high": None}}
    metrics["curves"]["roc"] = {"false_positive_rate": [], "true_positive_rate": [], "area": None}
    write_json(run.metrics_path, metrics)
    _, page = page_of(run)
    assert "F1 –" in page.text


def test_a_task_of_a_plugin_gets_the_parts_that_suit_every_task(make_run: MakeRun) -> None:
    run = make_run("binary")
    write_json(run.metrics_path, {**run.metrics, "kind": "other", "primary": "average_precision"})
    run.config_path.write_text("task: {name: next_item}\n")
    _, page = page_of(run)
    assert "How good it is" in page.headings
    assert "Which to pick" not in page.headings
    assert "Average precision of 0.713 That is: area under the precision–recall curve. Measured on 6,000 rows" in page.text
    assert "purchase_intent · next_item · model" in page.text
    assert page.text.index("Average precision 0.713") < page.text.index("Accuracy")  # the watched one first


def test_what_was_not_asked_for_is_told_apart_from_what_is_missing(make_run: MakeRun) -> None:
    run = make_run("binary", importance=None, segments=[], drift=[])
    _, page = page_of(run)
    assert "No column divides the rows into segments." in page.text
    assert "No column is compared: of lists and images this is not measured." in page.text
    run.config_path.write_text("evaluation: {permutation_repeats: 0, max_segment_columns: 0}\n")
    _, page = page_of(run)
    for setting in ("permutation_repeats", "max_segment_columns"):
        assert f"Not asked for: evaluation.{setting} is 0." in page.text
    assert "importance was not recorded" not in page.text


def test_of_a_split_by_dates_the_dates_are_shown(make_run: MakeRun) -> None:
    run = make_run("binary")
    split = "{name: time, validation_from: '2017-12-01', validation_fraction: 0.15, test_fraction: 0.2}"
    run.config_path.write_text(f"split: {split}\n")
    _, page = page_of(run)
    assert "validation_from: 2017-12-01; test_fraction: 0.2" in page.text


def test_the_numbers_of_a_detail_stand_under_their_names(make_run: MakeRun) -> None:
    detail = {"title": "T", "reading": "R", "columns": ["who", "how many"], "rows": [["a", 3]], "curve": False}
    text, _ = page_of(make_run("binary", details=[detail]))
    assert '<th>who</th><th class="n">how many</th>' in text


def test_many_columns_and_classes_still_make_a_small_page(make_run: MakeRun) -> None:
    columns = tuple(Column(f"spend_in_department_{i:03}_of_the_last_28_days", "number") for i in range(310))
    classes = tuple(f"department {i:03}" for i in range(60))
    run = make_run("multiclass", columns=(*columns, Column("id", "string", "key")), classes=classes)
    text, page = page_of(run)
    assert len(text.encode()) < 1_500_000
    assert "36 others" in page.text
    assert page.text.count("The first 300 of 310.") == 3
    assert "The 6 largest of 60 classes" in page.text


def test_a_matrix_of_many_classes_is_narrow(make_run: MakeRun) -> None:
    few, many = (page_of(make_run("multiclass", f"of {n}", classes=[f"department {i}" for i in range(n)]))[0] for n in (8, 9))
    assert '<table class="matrix">' in few
    assert '<table class="matrix many">' in many


def test_a_run_without_metrics_is_refused(make_run: MakeRun) -> None:
    run = make_run("binary")
    run.metrics_path.unlink()
    with pytest.raises(RunError, match=r"has no metrics\.json: it was not evaluated\. Finish it with resume=true"):
        render(run)


def test_importing_the_report_loads_no_torch() -> None:
    code = "import sys, shopkit.report; print(sorted({'torch', 'ibis', 'pandas', 'matplotlib'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"


def test_pretraining_has_a_picture_of_its_own_and_no_part_in_the_others() -> None:
    told = {"train_loss": 0.3, "validation_loss": 0.4, "validation_auroc": 0.8}
    history = [{"epoch": 0, "lr": 0.1, "pretrain_loss": 5.0}, {"epoch": 1, "lr": 0.1, "pretrain_loss": 4.0}]
    history += [{"epoch": epoch, "lr": 0.1, **told} for epoch in (2, 3)]
    train = {"history": history, "best_epoch": 3, "monitor": {"name": "auroc"}}
    pictures = figures.learning(train, {"auroc": "AUROC"})
    assert [picture.title for picture in pictures] == ["Pretraining loss", "Loss", "AUROC", "Learning rate"]
    dots = [str(picture.svg).count("<circle") for picture in pictures]
    assert dots == [2, 4, 2, 4]
