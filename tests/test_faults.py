"""What goes wrong from outside: one clear message, nothing half-written, and a run that goes on afterwards."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

import shopkit
from shopkit.errors import DataError, RunError, ShopkitError
from shopkit.predict.files import predict_file
from shopkit.runs import PARTIAL, Run, lock
from shopkit.stages import examples, way
from tests.shop import TABLE, visits

ROOT = Path(__file__).parents[1]
OVERRIDES = [
    *TABLE,
    "evaluation.baselines=[]",
    "features.ignore=[amount]",
    "trainer.max_epochs=2",
    "trainer.checkpoint_seconds=0",
]
LINEAR = [*OVERRIDES, "model=linear"]


def run(folder: Path, *more: str, n_rows: int = 300, model: str = "linear") -> Run:
    return shopkit.run(data=visits(n_rows), overrides=[*OVERRIDES, f"model={model}", *more], folder=folder)


@contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """No file may become larger: the disk as a program meets it that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Or modules that are first imported meanwhile would leave a cut-off .pyc for all that come after.
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = writes


def nothing_half_written(folder: Path) -> None:
    """No folder looks finished, no temporary file is left, and every stage that is marked can be read."""
    for path in folder.iterdir():
        assert path.name.endswith(PARTIAL), path
        assert not list(path.rglob("*.tmp"))
        for marker in (path / "stages").glob("*.json"):
            assert Run(path).facts(marker.stem) is not None


FULL = {
    # What is too large → overrides, rows, limit in bytes, model, the stages that are whole by then.
    "features": (
        ["features.columns.price={name: piecewise_linear, n_bins: 900}"],
        12_000,
        400_000,
        "linear",
        {"examples", "split"},
    ),
    "checkpoint": (["model.hidden=[512,512]"], 300, 600_000, "mlp", {"examples", "split", "features"}),
}
MESSAGES = {
    "features": r"The stage features of .*it\.partial stopped: .*File too large.* What was finished is kept: make room",
    "checkpoint": r"Cannot write .*checkpoint\.npz: File too large\. Free some space or choose another folder",
}


@pytest.mark.parametrize("what", FULL)
def test_a_full_disk_is_one_message(what: str, tmp_path: Path) -> None:
    more, n_rows, limit, model, whole = FULL[what]
    with largest_file(limit), pytest.raises(RunError, match=MESSAGES[what]):
        run(tmp_path / "it", *more, n_rows=n_rows, model=model)
    nothing_half_written(tmp_path)
    assert {path.stem for path in (tmp_path / "it.partial" / "stages").glob("*.json")} == whole


def test_a_run_goes_on_when_there_is_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with largest_file(resource.RLIM_INFINITY), monkeypatch.context() as patch:
        before_the_view(patch, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY)))
        with pytest.raises(RunError, match=r"The stage examples of .*it\.partial stopped: .*File too large"):
            run(tmp_path / "it")
    nothing_half_written(tmp_path)
    assert run(tmp_path / "it", "resume=true").path == tmp_path / "it"


@pytest.mark.parametrize(
    ("name", "stage"), [("features.onnx", "features"), ("vocabularies.json", "features"), ("history.csv", "train")]
)
def test_a_disk_that_fills_up_while_a_result_is_put_in_its_place(
    name: str, stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = shutil.copyfile

    def half(source: Path, target: Path) -> None:
        if source.name == name:
            target.write_bytes(source.read_bytes()[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(source, target)

    monkeypatch.setattr("shutil.copyfile", half)
    with pytest.raises(RunError, match=rf"Cannot write .*{name}: No space left on device\. Free some space"):
        run(tmp_path / "it", model="mlp")
    nothing_half_written(tmp_path)
    partial = tmp_path / "it.partial"
    assert not (partial / name).exists()
    assert not (partial / "stages" / f"{stage}.json").exists()


def can_mount() -> bool:
    return os.geteuid() == 0 and Path("/proc/mounts").exists()


@contextmanager
def small_disk(folder: Path, kilobytes: int, options: str = "") -> Iterator[Path]:
    """A disk of its own, of a few kilobytes."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k{options}", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a disk cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


SCRIPT = """
import sys
import shopkit
from tests.shop import visits
from tests.test_faults import OVERRIDES
try:
    shopkit.run(data=visits(6000), overrides=[*OVERRIDES, "evaluation.baselines=[linear]"], folder=sys.argv[1])
except shopkit.errors.ShopkitError as error:
    sys.exit(str(error))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [40, 300, 1000])
def test_a_disk_that_is_really_full(kilobytes: int, tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("mounting a disk needs root")
    with small_disk(tmp_path / "disk", kilobytes) as disk:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT.replace("import shopkit\n", "import shopkit, shopkit.errors\n", 1), str(disk / "it")],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert re.search("No space left on device", done.stderr), done.stderr
        nothing_half_written(disk)


@pytest.mark.slow
def test_a_disk_that_is_read_only(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("mounting a disk needs root")
    with (
        small_disk(tmp_path / "disk", 100, ",ro") as disk,
        pytest.raises(RunError, match=r"Cannot write the run folder .*Read-only"),
    ):
        run(disk / "it")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(RunError, match=r"Cannot write the run folder .*Not a directory\. Choose another with hydra\.run\.dir"):
        run(tmp_path / "taken" / "it")


def test_a_folder_another_process_works_in(tmp_path: Path) -> None:
    (tmp_path / "it.partial").mkdir()
    with lock(tmp_path / "it.partial"), pytest.raises(RunError, match=r"Another process is working in .*it\.partial"):
        run(tmp_path / "it")


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that broke off after the stage features."""
    with monkeypatch.context() as patch:
        patch.setitem(way.WORK, "train", lambda going: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(RunError, match=r"The stage train of .* stopped: Input/output error\. What was finished is kept"):
            run(tmp_path / "it")
    return tmp_path / "it"


def test_a_folder_holds_one_run(interrupted: Path) -> None:
    with pytest.raises(RunError, match=r"holds this run, unfinished\. Add resume=true to go on with it, or delete it"):
        run(interrupted)
    for more in ("seed=1", "resume=true"):
        with pytest.raises(RunError, match=r"holds an unfinished run of another configuration, other data or other versions"):
            run(interrupted, "model.l2=3", more)
    with pytest.raises(RunError, match=r"holds an unfinished run of another configuration, other data"):
        run(interrupted, "resume=true", n_rows=299)
    assert run(interrupted, "resume=true").is_complete


def test_what_a_killed_process_was_about_to_write_is_removed(interrupted: Path) -> None:
    partial = interrupted.with_name("it.partial")
    (partial / ".metrics.json.123.tmp").write_text("half")
    (partial / "work" / ".a.456.tmp").write_text("half")
    done = run(interrupted, "resume=true")
    assert not list(done.path.rglob("*.tmp"))


def test_a_damaged_marker_is_named(interrupted: Path) -> None:
    marker = interrupted.with_name("it.partial") / "stages" / "split.json"
    whole = marker.read_text()
    marker.write_text(whole[: len(whole) // 2])
    with pytest.raises(RunError, match=r"split\.json is damaged \(.*\)\. Delete it, and start again with resume=true"):
        run(interrupted, "resume=true")
    marker.unlink()
    assert run(interrupted, "resume=true").is_complete


def test_a_damaged_neighbour_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "identity.json").write_text("{")
    assert run(tmp_path / "it", "resume=true").is_complete


def test_a_damaged_checkpoint_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(way.WORK, "export", lambda going: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(RunError, match="The stage export"):
            run(tmp_path / "it", model="mlp")
    path = tmp_path / "it.partial" / "work" / "model" / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"The checkpoint .*checkpoint\.npz cannot be read\. Delete it to train from the start"):
        run(tmp_path / "it", "resume=true", model="mlp")


# -- data that go away -----------------------------------------------------------------------------------------------


def before_the_view(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Do something after the source was opened and before its rows are read."""
    original = examples.materialise

    def materialise(*given: object, **named: object) -> object:
        do()
        return original(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(examples, "materialise", materialise)


FROM_FILE = [override for override in LINEAR if not override.startswith("source=")]


@pytest.mark.parametrize("how", ["gone", "cut off"])
def test_a_file_that_goes_away_in_mid_read(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "visits.parquet"
    visits(3000).to_parquet(path)
    before_the_view(monkeypatch, path.unlink if how == "gone" else lambda: os.truncate(path, path.stat().st_size // 2))
    overrides = [*FROM_FILE, "source=files", f"source.path={path}"]
    with pytest.raises(ShopkitError, match=r"The stage examples of .* stopped: .*visits\.parquet"):
        shopkit.run(overrides=overrides, folder=tmp_path / "runs" / "it")
    assert not (tmp_path / "runs").exists()  # nothing had been finished


def test_a_database_that_goes_away_in_mid_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3

    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        visits(20_000).to_sql("data", connection, index=False)
    before_the_view(monkeypatch, lambda: os.truncate(path, 40_960))
    overrides = [*FROM_FILE, "source=database", f"source.url=sqlite:///{path}"]
    with pytest.raises(DataError, match=r"The database broke off while the examples were read from it: .*malformed"):
        shopkit.run(overrides=overrides, folder=tmp_path / "runs" / "it")
    assert not (tmp_path / "runs").exists()  # nothing had been finished


@pytest.fixture
def database(tmp_path: Path) -> Path:
    import duckdb

    path = tmp_path / "shop.duckdb"
    frame = visits(300)
    with duckdb.connect(str(path)) as connection:
        connection.register("frame", frame)
        connection.execute("CREATE TABLE data AS SELECT * FROM frame")
    return path


def test_a_database_another_process_has_locked(database: Path, tmp_path: Path) -> None:
    code = f"import duckdb, sys, time; c = duckdb.connect({str(database)!r}); print('open', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        with pytest.raises(DataError, match=r"lock"):
            shopkit.run(
                overrides=[*FROM_FILE, "source=database", f"source.url=duckdb:///{database}"], folder=tmp_path / "runs" / "it"
            )
        assert not (tmp_path / "runs").exists()
    finally:
        holder.communicate()


# -- prediction ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("faults") / "it")


def test_a_disk_that_fills_up_while_it_predicts(done: Run, tmp_path: Path) -> None:
    visits(5000).to_parquet(tmp_path / "new.parquet")
    for ending in ("csv", "parquet"):
        with largest_file(20_000), pytest.raises(RunError, match=r"Cannot write .*out\."):
            predict_file(done.path, tmp_path / "new.parquet", tmp_path / f"out.{ending}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.parquet"]


def test_a_file_to_predict_that_is_cut_off(done: Run, tmp_path: Path) -> None:
    path = tmp_path / "new.parquet"
    visits(5000).to_parquet(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DataError, match=r"Cannot read .*new\.parquet"):
        predict_file(done.path, path, tmp_path / "out.csv")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["new.parquet"]


def test_an_output_that_was_there_is_kept_when_predicting_fails(done: Run, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("yesterday's")
    pd.DataFrame({"customer": [1]}).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(DataError, match=r"has no column"):
        predict_file(done.path, tmp_path / "new.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "yesterday's"


# -- kills -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("what", "n"), [("run", 6), ("cv", 2), ("search", 2)])
def test_killed_and_resumed_ends_as_if_undisturbed(what: str, n: int) -> None:
    """`python -m tests.kills 50` is the long form."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.kills", str(n), "--what", what, "--seed", "3"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("killed, resumed, identical") == n
