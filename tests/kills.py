"""Runs, cross-validations, searches and sweeps that are killed (SIGKILL), resumed, and held against one that was not disturbed.

python -m tests.kills 50                  # 50 kills: at every stage, at random writes, training steps and moments
python -m tests.kills 10 --what cv        # or estimator, search, sweep

One process imports everything and computes nothing; every attempt is a fork of it, so an attempt costs what it computes.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime  # noqa: F401  # imported before the forks, as all that follows
import pandas as pd  # noqa: F401
import pytorch_lightning  # noqa: F401
import torchmetrics  # noqa: F401

import shopkit
from shopkit import crossvalidation, fitting, provenance
from shopkit.cli import main as main_of_shopkit
from shopkit.config.hparams import SearchSettings, Space
from shopkit.runs import PARTIAL, Run, kind_of
from shopkit.stages import STAGES, Way
from shopkit.training.learner import Learner
from tests.shop import TABLE, visits

OVERRIDES = [
    *TABLE, "evaluation.baselines=[linear]", "evaluation.n_bootstrap=5", "features.ignore=[amount]",
    "trainer.max_epochs=5", "trainer.patience=0", "trainer.batch_size=32", "trainer.checkpoint_seconds=0", "trainer.threads=1",
]  # fmt: skip
NETWORK = ["model.hidden=[8]", "model.members=2"]
DATAFRAME = [*OVERRIDES, *NETWORK, "source=dataframe"]
# Rows in quarantine.parquet, features that stay in files, and exporters that leave folders.
ESTIMATOR = [
    *OVERRIDES, "model=linear", "source=dataframe", "exports=[triton,web]", "contract.columns={price: {max: 60}}",
    "contract.limit=0.5",
]  # fmt: skip
N_ROWS = 240
KINDS = ("run", "estimator", "cv", "search", "sweep")
SPACE = SearchSettings(
    space={"trainer.lr": Space(0.001, 0.02, log=True), "model.dropout": Space(0.0, 0.5)}, n_trials=4, n_startup=2, warmup_epochs=1
)


def attempt(what: str, folder: Path, resume: bool) -> None:
    """The whole way, once."""
    more = [f"resume={'true' if resume else 'false'}"]
    it = folder / "it"
    if what == "run":
        shopkit.run(data=visits(N_ROWS), overrides=[*DATAFRAME, "exports=[triton]", *more], folder=it)
    elif what == "estimator":
        fitting.n_bytes = lambda *given: 1 << 62
        shopkit.run(data=visits(N_ROWS), overrides=[*ESTIMATOR, *more], folder=it)
    elif what == "cv":
        shopkit.cross_validate(data=visits(N_ROWS), overrides=[*DATAFRAME, *more], n_folds=2, folder=it)
    elif what == "search":
        shopkit.search(overrides=[*DATAFRAME, *more], settings=SPACE, data=visits(N_ROWS), folder=it)
    else:
        os.chdir(folder)
        if not resume:
            visits(N_ROWS).to_parquet("visits.parquet")
        source = ["source=files", "source.path=visits.parquet", "hydra.sweep.dir=it"]
        assert main_of_shopkit(["run", "-m", *OVERRIDES, *NETWORK, *source, "seed=0,1", *more]) == 0


def outcome(what: str, folder: Path) -> dict[str, Any]:
    """What must not depend on having been killed: hashes of all results but the configuration, which holds `resume`."""
    done = folder / "it"
    if what in ("run", "estimator"):
        return _files(Run.open(done))
    if what in ("cv", "sweep"):
        runs = crossvalidation.CrossValidation(done).runs if what == "cv" else [Run.open(done / "0"), Run.open(done / "1")]
        facts = {"facts": (done / "cv.json").read_text()} if what == "cv" else {}
        return facts | {f"{run.path.name}/{name}": value for run in runs for name, value in _files(run).items()}
    facts = json.loads((done / "search.json").read_text())
    for trial in [*facts["trials"], facts["best"]]:
        del trial["seconds"]
    del facts["command"]
    return {"facts": facts} | _files(Run.open(done / "best"))


def _files(run: Run) -> dict[str, Any]:
    run.verify()
    history = json.loads((run.path / "stages" / "train.json").read_text())["history"]
    left = [path.name for path in run.path.rglob("*.tmp")] + [path.name for path in run.path.glob(".lock")]
    return {name: value for name, value in run.manifest["files"].items() if name != "config.yaml"} | {
        "history": history,
        "left": left,
    }


# -- where it is killed ----------------------------------------------------------------------------------------------


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def arm(point: str) -> None:
    """Make this process kill itself at a point: `before:<stage>`, `results:<stage>` (whole, not marked yet), `marked:<stage>`,
    `write:<n>` (in the n-th file, written but not in place), `step:<n>` of training, `seal`, `rename`, `after:<seconds>`."""
    kind, _, where = point.partition(":")
    if kind == "after":
        timer = threading.Timer(float(where), die)
        timer.daemon = True
        timer.start()
    elif kind == "before":
        _wrap(Way, "_stage", lambda self, name: name == where)
    elif kind == "results":
        _wrap(Run, "finish_stage", lambda self, stage, facts: stage == where)
    elif kind == "marked":
        _wrap(Run, "finish_stage", lambda self, stage, facts: stage == where, after=True)
    elif kind == "step":
        _wrap(Learner, "_optimize", _nth(int(where)))
    elif kind == "seal":
        _wrap(provenance, "seal", lambda *given: True)
    elif kind == "rename":
        _wrap(Path, "rename", lambda self, target: self.name == f"it{PARTIAL}")
    elif kind == "write":
        _wrap(Path, "replace", _nth(int(where)))
    else:
        raise ValueError(point)


def _nth(n: int) -> Callable[..., bool]:
    calls = iter(range(1, 10**9))
    return lambda *given, **named: next(calls) == n


def _wrap(owner: Any, name: str, is_now: Callable[..., bool], after: bool = False) -> None:
    original = getattr(owner, name)

    def wrapped(*given: Any, **named: Any) -> Any:
        now = is_now(*given, **named)
        if now and not after:
            die()
        result = original(*given, **named)
        if now:
            die()
        return result

    setattr(owner, name, wrapped)


FIXED = [f"{kind}:{stage}" for stage in (*STAGES, "report") for kind in ("before", "results", "marked")] + ["seal", "rename"]


@dataclass(frozen=True)
class Undisturbed:
    """What an attempt that is not killed comes to, and does on its way: kills are drawn from that."""

    outcome: dict[str, Any]
    seconds: float
    n_writes: int
    n_steps: int


def points(what: str, seed: int, whole: Undisturbed) -> Iterator[str]:
    """Where to kill: everywhere that has a name, then at random without end."""
    rng = random.Random(seed)
    named = list(FIXED) if what in ("run", "estimator") else []
    rng.shuffle(named)
    yield from named
    while True:
        chosen = [f"write:{rng.randint(1, whole.n_writes)}", f"after:{rng.uniform(0, whole.seconds):.2f}"]
        if whole.n_steps:
            chosen.append(f"step:{rng.randint(1, whole.n_steps)}")
        yield rng.choice(chosen)


# -- processes -------------------------------------------------------------------------------------------------------


def forked(work: Callable[[], None], log: Path) -> int:
    """Wait status of a fork that does the work: 0, or -9 where it was killed."""
    process = os.fork()
    if process == 0:
        status = 1
        with log.open("a") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
            try:
                work()
                status = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def refuse_finished_looking(folder: Path) -> None:
    """Every folder that looks finished is."""
    for path in folder.iterdir():
        if not path.is_dir() or path.name.endswith(PARTIAL):
            continue
        kind = kind_of(path)
        if kind is None:  # of a sweep
            refuse_finished_looking(path)
        elif kind.name == "run":
            Run.open(path).verify()
        else:
            assert (path / kind.facts).is_file(), path


@contextlib.contextmanager
def room() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kill_and_resume(what: str, point: str, expected: dict[str, Any]) -> str:
    """Kill once, resume, compare. Returns a line to print; raises AssertionError on a difference."""
    with room() as folder:
        log = folder / "log.txt"

        def disturbed() -> None:
            arm(point)
            attempt(what, folder, resume=False)

        status = forked(disturbed, log)
        assert status in (0, -signal.SIGKILL), log.read_text()
        refuse_finished_looking(folder)
        if status != 0:
            assert forked(lambda: attempt(what, folder, resume=True), log) == 0, log.read_text()
            left = {path.name for path in folder.iterdir()} - {"it", "log.txt", "visits.parquet"}
            assert not left, left
        found = outcome(what, folder)
        assert found == expected, (
            f"{point}: {[name for name in expected if found.get(name) != expected[name]]} differ\n{log.read_text()}"
        )
        return "killed, resumed, identical" if status else "ended before it, identical"


def undisturbed(what: str) -> Undisturbed:
    with room() as folder:
        log = folder / "log.txt"

        def counted() -> None:
            counts = {"n_writes": 0, "n_steps": 0}

            def count(name: str) -> bool:
                counts[name] += 1
                return False

            _wrap(Path, "replace", lambda *given: count("n_writes"))
            _wrap(Learner, "_optimize", lambda *given, **named: count("n_steps"))
            attempt(what, folder, resume=False)
            (folder / "counts.json").write_text(json.dumps(counts))

        start = time.perf_counter()
        assert forked(counted, log) == 0, log.read_text()
        seconds = time.perf_counter() - start
        return Undisturbed(outcome(what, folder), seconds, **json.loads((folder / "counts.json").read_text()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", type=int, help="how many kills")
    parser.add_argument("--what", choices=KINDS, default="run")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ["SHOPKIT_PLUGINS"] = ""  # what plugins write down is their own
    start = time.perf_counter()
    whole = undisturbed(given.what)
    print(f"undisturbed: {whole.seconds:.1f} s, {whole.n_writes} files, {whole.n_steps} steps", flush=True)
    failed = killed = early = 0
    for point in points(given.what, given.seed, whole):
        try:
            said = kill_and_resume(given.what, point, whole.outcome)
        except AssertionError as error:
            said = f"FAILED: {error}"
        killed, failed, early = (
            killed + said.startswith("killed"),
            failed + said.startswith("FAILED"),
            early + said.startswith("ended"),
        )
        print(f"{killed + failed + early:3} {point:18} {said}", flush=True)
        if killed + failed >= given.n:
            break
    digest = hashlib.sha256(json.dumps(whole.outcome, sort_keys=True).encode()).hexdigest()[:16]
    print(
        f"{given.what}: {killed} killed and identical, {early} ended before they were, {failed} failed; outcome {digest}; "
        f"{time.perf_counter() - start:.0f} s"
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
