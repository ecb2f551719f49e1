"""Old runs go by rule; the newest, pinned ones and those at work never do."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from shopkit.cli import main
from shopkit.errors import RunError
from shopkit.housekeeping import DAY, Rules, pin, remove, survey
from shopkit.runs import lock, write_json

NOW = time.time()


def make(
    root: Path, name: str, days: float, score: float | None = 0.5, experiment: str = "churn", better: str = "higher"
) -> Path:
    folder = root / experiment / name
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"name: {experiment}\n")
    write_json(folder / "identity.json", {"identity": name})
    marker = folder / "identity.json"
    if not name.endswith(".partial"):
        write_json(folder / "metrics.json", {"metrics": {"test": {"m": {"value": score}}}, "about": {"m": {"better": better}}})
        write_json(folder / "manifest.json", {"experiment": experiment, "files": {}})
        marker = folder / "manifest.json"
    os.utime(marker, (NOW - days * DAY,) * 2)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four runs of one experiment, best in the middle, and a run that was not finished."""
    for days, score in ((40, 0.6), (30, 0.9), (20, 0.7), (10, 0.8)):
        make(tmp_path, f"day{days}", days, score)
    make(tmp_path, "day35.partial", 35)
    return tmp_path


def going(root: Path, **rules: float) -> list[str]:
    return [one.work.path.name for one in survey(root, Rules(**rules), NOW) if one.goes]  # type: ignore[arg-type]


def test_nothing_goes_without_a_rule(root: Path) -> None:
    assert going(root) == []
    assert survey(root, Rules())[0].why == "no rule given"


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ({"older_than_days": 25}, ["day40", "day30"]),
        ({"older_than_days": 0}, ["day40", "day30", "day20"]),
        ({"keep_newest": 2}, ["day40", "day30"]),
        ({"keep_best": 1}, ["day40", "day20"]),
        ({"older_than_days": 25, "keep_best": 1}, ["day40"]),
        ({"partial": True}, ["day35.partial"]),
        ({"keep_newest": 3, "partial": True}, ["day40", "day35.partial"]),
    ],
)
def test_rules(root: Path, rules: dict[str, float], names: list[str]) -> None:
    assert going(root, **rules) == names


def test_each_experiment_keeps_its_own(root: Path) -> None:
    make(root, "old", 90, experiment="returns", better="lower")
    make(root, "older", 99, 0.1, experiment="returns", better="lower")
    assert "old" not in going(root, older_than_days=1)
    assert "older" in going(root, older_than_days=1)
    assert "older" not in going(root, keep_best=1)


def test_a_pinned_run_stays(root: Path) -> None:
    pin(root / "churn" / "day40")
    assert going(root, older_than_days=0) == ["day30", "day20"]
    pin(root / "churn" / "day40", pinned=False)
    assert going(root, older_than_days=0) == ["day40", "day30", "day20"]
    with pytest.raises(RunError, match="There is no run folder"):
        pin(root / "nothing")


def test_a_run_at_work_stays_also_if_it_was_begun_after_the_survey(root: Path) -> None:
    found = survey(root, Rules(partial=True), NOW)
    with lock(root / "churn" / "day35.partial") as mine:
        assert mine
        assert going(root, partial=True) == []
        assert remove(found) == []
    assert [path.name for path in remove(found)] == ["day35.partial"]


def test_what_goes_is_gone_and_nothing_else(root: Path) -> None:
    (root / "churn" / "link").symlink_to(root / "churn" / "day30")
    (root / "mine").mkdir()
    gone = remove(survey(root, Rules(keep_newest=1), NOW))
    assert [path.name for path in gone] == ["day40", "day30", "day20"]
    assert sorted(path.name for path in (root / "churn").iterdir()) == ["day10", "day35.partial", "link"]
    assert (root / "mine").is_dir()


@pytest.fixture
def larger(tmp_path: Path) -> Path:
    """Two finished cross-validations and searches, and one of each that is not finished."""
    for name, days in (("old", 40), ("new", 10), ("begun.partial", 5)):
        for kind in ("cv", "search"):
            folder = tmp_path / "churn" / f"{kind}-{name}"
            for part in ("fold-0", "fold-1") if kind == "cv" else ("best", "trials/0000/run.partial"):
                make(folder.parent, part, days, experiment=folder.name)
            write_json(folder / "identity.json", {"identity": folder.name})
            facts = folder / "identity.json"
            if not name.endswith(".partial"):
                facts = folder / ("cv.json" if kind == "cv" else "search.json")
                scores = {"metrics" if kind == "cv" else "test": {"m": {"value": 1 / days}}}
                write_json(facts, {"experiment": "churn", "about": {"m": {"better": "higher"}}, **scores})
            os.utime(facts, (NOW - days * DAY,) * 2)
    return tmp_path


def test_a_cross_validation_and_a_search_count_as_one(larger: Path) -> None:
    found = survey(larger, Rules(older_than_days=0), NOW)
    assert {(one.work.path.name, one.work.kind.name, one.why) for one in found} == {
        ("cv-old", "cross-validation", "let go by every rule"),
        ("cv-new", "cross-validation", "the newest"),
        ("cv-begun.partial", "cross-validation", "not finished; --partial removes it, resume=true goes on with it"),
        ("search-old", "search", "let go by every rule"),
        ("search-new", "search", "the newest"),
        ("search-begun.partial", "search", "not finished; --partial removes it, resume=true goes on with it"),
    }
    assert {one.work.experiment for one in found} == {"churn"}
    assert going(larger, keep_best=1) == ["cv-old", "search-old"]
    with lock(larger / "churn" / "cv-begun.partial"), lock(larger / "churn" / "search-begun.partial"):
        assert remove(survey(larger, Rules(partial=True), NOW)) == []
    pin(larger / "churn" / "cv-old")
    pin(larger / "churn" / "search-old" / "best")
    assert going(larger, older_than_days=0) == []
    with pytest.raises(RunError, match=r"cv-begun\.partial is not a complete cross-validation: it was not finished"):
        pin(larger / "churn" / "cv-begun.partial")
    with pytest.raises(RunError, match=r"trials is part of the search .*search-old, which is removed whole or not at all"):
        survey(larger / "churn" / "search-old" / "trials", Rules())
    gone = remove(survey(larger, Rules(partial=True), NOW))
    assert sorted(path.name for path in gone) == ["cv-begun.partial", "search-begun.partial"]
    assert sorted(path.name for path in (larger / "churn").iterdir()) == ["cv-new", "cv-old", "search-new", "search-old"]


def test_what_was_half_deleted_is_listed_and_goes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            (path / "config.yaml").unlink()
            raise KeyboardInterrupt

    found = survey(root, Rules(keep_newest=1), NOW)
    with monkeypatch.context() as patch:
        patch.setattr("shopkit.housekeeping.shutil.rmtree", stop)
        with pytest.raises(KeyboardInterrupt):
            remove(found)
    left = {one.work.path.name: one.why for one in survey(root, Rules(), NOW)}
    assert left["day40.deleted.partial"] == "half deleted; --partial removes the rest"
    assert not list(root.rglob("day40*/identity.json"))
    remove(survey(root, Rules(partial=True), NOW))
    assert not list(root.rglob("day40*"))


def test_the_command_changes_nothing_without_yes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean", str(root), "--older-than", "25d", "--partial"]) == 0
    out = capsys.readouterr().out
    assert "3 of 5 runs would go, 0.0 MiB. Nothing was changed; --yes removes them." in out
    assert len(list((root / "churn").iterdir())) == 5
    assert main(["clean", str(root), "--older-than", "25d", "--partial", "--yes"]) == 0
    assert "3 of 5 runs removed" in capsys.readouterr().out
    assert sorted(path.name for path in (root / "churn").iterdir()) == ["day10", "day20"]
    assert main(["pin", str(root / "churn" / "day20")]) == 0
    assert main(["clean", str(root), "--keep-newest", "0"]) == 0
    assert "pinned" in capsys.readouterr().out


def test_what_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean", str(root), "--older-than", "soon"]) == 2
    assert "give a number with h, d or w" in capsys.readouterr().err
    with pytest.raises(RunError, match="--keep-best is -1; it must be at least 0"):
        Rules(keep_best=-1)
    with pytest.raises(RunError, match="There is no folder"):
        survey(root / "nothing", Rules())
