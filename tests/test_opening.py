"""What is left where work fails before anything of it is finished."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd
import pytest

import shopkit
from shopkit.errors import DataError, RunError
from shopkit.opening import locked, opened, silent, without_trace

TABLE = pd.DataFrame({"x": range(60), "y": [0, 1] * 30})
REFUSED = ["view=table", "view.target=nope", "split=random", "model=linear"]


@pytest.mark.parametrize(
    ("verb", "more"), [("run", []), ("cross_validate", []), ("search", ["hparams_search=linear", "n_trials=1"])]
)
@pytest.mark.parametrize("folder", [None, "a/b/run"])
def test_work_that_is_refused_in_its_first_stage_leaves_nothing(
    verb: str, more: list[str], folder: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOPKIT_PLUGINS", "")  # one may keep a log of its own there
    with pytest.raises(DataError, match=r"view\.target names column 'nope'"):
        getattr(shopkit, verb)(None, [*REFUSED, *more], data=TABLE, folder=folder)
    assert list(tmp_path.iterdir()) == []


def fails(around: AbstractContextManager[object], *made: Path) -> None:
    """Work that makes some folders, and then fails."""

    def work() -> None:
        with around:
            for folder in made:
                folder.mkdir(parents=True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()


def test_folders_that_were_there_stay(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    folder = tmp_path / "mine" / "new" / "run.partial"
    fails(without_trace(folder), folder)
    assert [*tmp_path.rglob("*")] == [tmp_path / "mine"]


def test_folders_that_others_have_come_to_use_stay(tmp_path: Path) -> None:
    folder, other = tmp_path / "runs" / "shop" / "run.partial", tmp_path / "runs" / "other"
    fails(without_trace(folder), folder, other)
    assert [*tmp_path.rglob("*")] == [tmp_path / "runs", other]


def test_what_was_finished_stays(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "run.partial"
    fails(opened(folder, "identity", resume=False, announce=silent), folder / "stages")
    assert (folder / "stages").is_dir()


def test_a_folder_in_which_another_works_is_left_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "run.partial"
    with (
        locked(folder),
        pytest.raises(RunError, match="Another process is working"),
        opened(folder, "identity", resume=False, announce=silent),
    ):
        pass
    assert folder.is_dir()


def test_success_leaves_what_it_made(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "run.partial"
    with without_trace(folder):
        folder.mkdir(parents=True)
    assert folder.is_dir()
