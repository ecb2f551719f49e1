"""Runs, cross-validations and searches that are killed (SIGKILL), resumed, and held against one that was not disturbed.

python -m tests.kills 50                  # 50 kills: at every stage, at random writes, training steps and moments
python -m tests.kills 10 --what cv        # or search

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
from pathlib import Path
from typing import Any

import onnxruntime  # noqa: F401  # imported before the forks, as all that follows
import pandas as pd  # noqa: F401
import pytorch_lightning  # noqa: F401
import torchmetrics  # noqa: F401

import shopkit
from shopkit import crossvalidation, provenance, tuning
from shopkit.config import Composer
from shopkit.config.hparams import SearchSettings, Space
from shopkit.registry import load_registry
from shopkit.runs import PARTIAL, Run
from shopkit.stages import STAGES, Way
from shopkit.training.learner import Learner
from tests.shop import TABLE, visits

OVERRIDES = [
    *TABLE, "source=dataframe", "evaluation.baselines=[linear]", "evaluation.n_bootstrap=5", "features.ignore=[amount]",
    "trainer.max_epochs=5", "trainer.patience=0", "trainer.batch_size=32", "trainer.checkpoint_seconds=0", "trainer.threads=1",
    "model.hidden=[8]", "model.members=2",
]  # fmt: skip
N_ROWS = 240
N_STEPS = 5 * 6
SPACE = SearchSettings(
    space={"trainer.lr": Space(0.001, 0.02, log=True), "model.dropout": Space(0.0, 0.5)}, n_trials=4, n_startup=2, warmup_epochs=1
)


def attempt(what: str, folder: Path, resume: bool) -> None:
    """The whole way, once."""
    overrides = [*OVERRIDES, f"resume={'true' if resume else 'false'}"]
    if what == "run":
        shopkit.run(data=visits(N_ROWS), overrides=overrides, folder=folder / "it")
    elif what == "cv":
        crossvalidation.cross_validate(data=visits(N_ROWS), overrides=overrides, n_folds=2, folder=folder / "it")
    else:
        composer = Composer.of(load_registry(""))
        tuning.execute_search(composer, SPACE, overrides, folder / f"it{PARTIAL}", data=visits(N_ROWS))


def outcome(what: str, folder: Path) -> dict[str, Any]:
    """What must not depend on having been killed: hashes of all results but the configuration, which holds `resume`."""
    done = folder / "it"
    if what == "run":
        return _files(Run.open(done))
    if what == "cv":
        facts = {"facts": (done / "cv.json").read_text()}
        return facts | {
            f"{run.path.name}/{name}": value
            for run in crossvalidation.CrossValidation(done).runs
            for name, value in _files(run).items()
        }
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


def points(what: str, seed: int) -> Iterator[str]:
    """Where to kill: everywhere that has a name, then at random without end."""
    rng = random.Random(seed)
    named = list(FIXED) if what == "run" else []
    rng.shuffle(named)
    yield from named
    times = 1 if what == "run" else 2
    while True:
        yield rng.choice(
            [
                f"step:{rng.randint(1, N_STEPS * times)}",
                f"write:{rng.randint(1, 30 * times)}",
                f"after:{rng.uniform(0.05, 2.0 * times):.2f}",
            ]
        )


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
        if path.is_dir() and not path.name.endswith(PARTIAL):
            if (path / "cv.json").exists() or (path / "search.json").exists():
                continue
            Run.open(path).verify()


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
            assert sorted(path.name for path in folder.iterdir()) == ["it", "log.txt"], [*folder.iterdir()]
        found = outcome(what, folder)
        assert found == expected, (
            f"{point}: {[name for name in expected if found.get(name) != expected[name]]} differ\n{log.read_text()}"
        )
        return "killed, resumed, identical" if status else "ended before it, identical"


def undisturbed(what: str) -> dict[str, Any]:
    with room() as folder:
        log = folder / "log.txt"
        assert forked(lambda: attempt(what, folder, resume=False), log) == 0, log.read_text()
        return outcome(what, folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", type=int, help="how many kills")
    parser.add_argument("--what", choices=("run", "cv", "search"), default="run")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    start = time.perf_counter()
    expected = undisturbed(given.what)
    failed = killed = early = 0
    for point in points(given.what, given.seed):
        try:
            said = kill_and_resume(given.what, point, expected)
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
    digest = hashlib.sha256(json.dumps(expected, sort_keys=True).encode()).hexdigest()[:16]
    print(
        f"{given.what}: {killed} killed and identical, {early} ended before they were, {failed} failed; outcome {digest}; "
        f"{time.perf_counter() - start:.0f} s"
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
