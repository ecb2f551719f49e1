"""Which changes of the code would no test notice? `make mutants PART=views` changes a part in many small ways, one by one.

mutmut makes the mutants: a file holds all of its own, and a name says which of them is called. They are run here: the tests are
collected once, and each mutant gets a process forked from that, in which the tests that come by the changed statement run, until
one fails. What was found goes to `build/mutants/PART.json`. What is there is not run again, unless the file is
deleted; `--again` runs those that no test noticed. `tests/same_mutants/PART.txt` holds those that were read and found to change
nothing that can be seen: what survives beside them is printed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import gc
import hashlib
import importlib
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).parents[1]
COPY = ROOT / "build" / "mutants"
PARTS = ("split", "views", "features")
"""Folders of the package, each with the tests of the same folder."""
SAME = ROOT / "tests" / "same_mutants"
LEFT_ALONE = ("__init__.py", "example.py")
"""Without functions, and made-up data."""
LEFT_OUT = "not slow and not spark and not postgres and not fuzz and not runtimes"
SECONDS_OF_SAME = 5.0
"""Of tests, for a mutant of that list; another gets all that come by it, unless told otherwise."""
MEMORY = 4 << 30
"""Bytes a mutant may take beyond those of the process that it is forked from."""
FAILED = "failed"
"""File in a mutant's folder: the test that failed."""
KILLED, SURVIVED, TIMED_OUT, NOT_REACHED = "killed", "survived", "timed out", "not reached"


@dataclass
class Mutant:
    function: str
    file: str
    statement: tuple[int, int]
    """First and last line, in the copy, of the statement that is changed."""
    change: str
    """The lines taken out and put in."""
    status: str = ""
    noticed_by: str = ""
    """The test that failed."""
    seconds: float = 0.0

    def entry(self) -> str:
        """As it stands in the list of those that are the same: which lines of the file it changes may become others."""
        function = self.function.rpartition(".")[2].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        return f"## {Path(self.file).name} {function}\n{self.change}"


@dataclass
class Mutants:
    """A pytest plugin that runs the collected tests once for each mutant instead of once."""

    names: dict[str, Mutant]
    files: list[str]
    """Those with mutants in them."""
    jobs: int
    budget: Callable[[Mutant], float]
    """Seconds of tests that a mutant is given."""
    save: Callable[[], None]
    reached: dict[str, dict[str, set[int]]] = field(default_factory=dict)
    """Test → file → lines it comes by."""
    cost: dict[str, float] = field(default_factory=dict)
    """Test → seconds of processor time."""
    noticed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Function and test → mutants of the one that failed the other; function "" counts all."""
    running: dict[int, tuple[str, str, float]] = field(default_factory=dict)

    def pytest_runtestloop(self, session: Any) -> bool:
        if session.testsfailed:
            raise session.Failed("The tests cannot be collected.")
        self._measure(session)
        # A collection in a fork would touch, and so copy, all that it shares with this process: twice the time of a mutant.
        gc.disable()
        for done, (name, mutant) in enumerate(self.names.items()):
            while len(self.running) >= self.jobs:
                self._reap()
            items = self._items(session, mutant)
            if items:
                self._start(session, name, items)
            else:
                mutant.status = NOT_REACHED
            if done % 20 == 0:
                self.save()
                print(f"{done} of {len(self.names)}", file=sys.stderr, flush=True)
        while self.running:
            self._reap()
        return True

    def notice(self, function: str, test: str) -> None:
        """A mutant of a function failed a test."""
        self.noticed.update([(function, test), ("", test)])

    def _measure(self, session: Any) -> None:
        """Which lines each test comes by, how long it takes, and what it imports: by itself, as it may run alone."""
        store = COPY / "measured.json"
        measured = json.loads(store.read_text()) if store.exists() else {}
        code = b"".join(file.read_bytes() for file in [*sorted((COPY / "shopkit").rglob("*.py")), Path(__file__)])
        keys = {path: hashlib.sha256(path.read_bytes() + code).hexdigest() for path in {item.path for item in session.items}}
        for item in session.items:
            if measured.get(item.nodeid, [""])[0] != keys[item.path]:
                measured[item.nodeid] = [keys[item.path], *self._measured(session, item)]
            _, self.cost[item.nodeid], lines, modules = measured[item.nodeid]
            self.reached[item.nodeid] = {file: set(some) for file, some in lines.items()}
            # Here, or else every mutant's process does, which takes longer than most tests.
            for module in modules:
                with suppress(Exception):
                    importlib.import_module(module)
        store.write_text(json.dumps(measured))
        print(f"{len(self.cost)} tests take {sum(self.cost.values()):.0f} s of processor time", file=sys.stderr, flush=True)

    def _measured(self, session: Any, item: Any) -> list[Any]:
        from coverage import Coverage

        before = set(sys.modules)
        with tempfile.TemporaryDirectory() as folder:
            found = Path(folder, "found.json")
            pid = os.fork()
            if not pid:
                coverage, start = Coverage(data_file=None, include=self.files), time.process_time()
                with coverage.collect():
                    session.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
                taken, lines = time.process_time() - start, {file: coverage.get_data().lines(file) or [] for file in self.files}
                found.write_text(json.dumps([taken, lines, [module for module in sys.modules if module not in before]]))
                os._exit(bool(session.testsfailed))
            if os.waitpid(pid, 0)[1]:
                raise session.Failed(f"Without any mutant {item.nodeid} fails.")
            return list(json.loads(found.read_text()))

    def _items(self, session: Any, mutant: Mutant) -> list[Any]:
        """The tests that come by a mutant: first those that noticed most others of its function, or any, in their time."""
        function, lines = mutant.function, range(mutant.statement[0], mutant.statement[1] + 1)
        reaching = [item for item in session.items if not self.reached[item.nodeid].get(mutant.file, set()).isdisjoint(lines)]

        def order(item: Any) -> tuple[float, ...]:
            cost = max(self.cost[item.nodeid], 0.02)
            return -self.noticed[function, item.nodeid] / cost, -self.noticed["", item.nodeid] / cost, cost

        total, budget, chosen = 0.0, self.budget(mutant), []
        for item in sorted(reaching, key=order):
            if total + self.cost[item.nodeid] <= budget or not chosen:
                total += self.cost[item.nodeid]
                chosen.append(item)
        return chosen

    def _start(self, session: Any, name: str, items: Sequence[Any]) -> None:
        folder = tempfile.mkdtemp(prefix="mutant-")
        pid = os.fork()
        if not pid:
            _run(session, name, items, folder, limit=int(10 + 5 * sum(self.cost[item.nodeid] for item in items)))
        self.running[pid] = (name, folder, time.monotonic())

    def _reap(self) -> None:
        pid, status = os.wait()
        name, folder, start = self.running.pop(pid)
        mutant = self.names[name]
        failed = Path(folder, FAILED)
        if failed.exists():
            mutant.noticed_by = failed.read_text()
            self.notice(mutant.function, mutant.noticed_by)
        shutil.rmtree(folder, ignore_errors=True)
        stopped = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM)
        mutant.status = TIMED_OUT if stopped else KILLED if status else SURVIVED
        mutant.seconds = round(time.monotonic() - start, 2)


def _run(session: Any, name: str, items: Sequence[Any], folder: str, limit: int) -> NoReturn:
    from mutmut.mutation.trampoline import set_mutant_under_test

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    tempfile.tempdir = os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    signal.alarm(20 * limit)
    set_mutant_under_test(name)
    for item, following in zip(items, [*items[1:], None], strict=True):
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            Path(folder, FAILED).write_text(item.nodeid)
            os._exit(1)
    os._exit(0)


def mutated(files: Sequence[Path]) -> dict[str, Mutant]:
    """Copy the package to `build/mutants`, with the mutants of these files in it; mutants by name."""
    from mutmut.mutation.file_mutation import mutate_file_contents

    shutil.rmtree(COPY / "shopkit", ignore_errors=True)
    shutil.copytree(ROOT / "shopkit", COPY / "shopkit", ignore=shutil.ignore_patterns("__pycache__"))
    if not (COPY / "conf").exists():
        (COPY / "conf").symlink_to(ROOT / "conf")
    mutants = {}
    for file in files:
        made = mutate_file_contents(str(file), (ROOT / file).read_text("utf-8"))
        (COPY / file).write_text(made.code, "utf-8")
        lines, tree = made.code.splitlines(), ast.parse(made.code)
        spans = [_own_lines(node) for node in ast.walk(tree) if isinstance(node, ast.stmt)]
        for name in made.mutant_names:
            function = name.partition("__mutmut_")[0]
            before, after = (made.line_span_by_function_name[n] for n in (f"{function}__mutmut_orig", name))
            old = [line.replace(f"{function}__mutmut_orig", function) for line in lines[before.start - 1 : before.end]]
            new = [line.replace(name, function) for line in lines[after.start - 1 : after.end]]
            differing = [
                step for step in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if step[0] != "equal"
            ]
            change = [
                line for _, i, j, k, m in differing for line in [*("- " + x for x in old[i:j]), *("+ " + x for x in new[k:m])]
            ]
            at = before.start + differing[0][1]
            statement = min((span for span in spans if span[0] <= at <= span[1]), key=lambda span: span[1] - span[0])
            module = ".".join(file.with_suffix("").parts)
            mutants[f"{module}.{name}"] = Mutant(f"{module}.{function}", str(COPY / file), statement, "\n".join(change))
    return mutants


def of_before(mutants: dict[str, Mutant], found: dict[str, Any]) -> dict[str, Any]:
    """What was found of the same changes of the same functions: their numbers are others once a function has changed."""
    known: dict[tuple[str, str], list[Any]] = {}
    for name in sorted(found, key=_number):
        known.setdefault((found[name]["function"], found[name]["change"]), []).append(found[name])
    same = {name: known.get((mutants[name].function, mutants[name].change), []) for name in sorted(mutants, key=_number)}
    return {name: of_name.pop(0) for name, of_name in same.items() if of_name}


def listed(list_of_same: Path) -> Counter[str]:
    """The entries of a list, each with how many times it has it."""
    return Counter(list_of_same.read_text("utf-8").rstrip("\n").split("\n\n") if list_of_same.exists() else [])


def unread(survivors: Sequence[str], list_of_same: Path) -> list[str]:
    """The entries of survivors that the list has not, or not so many times."""
    return sorted((Counter(survivors) - listed(list_of_same)).elements())


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])


def _own_lines(node: ast.stmt) -> tuple[int, int]:
    """First and last line of a statement, without those of the statements within it; a function's are all, as it is called."""
    if isinstance(node, ast.FunctionDef):
        return node.lineno, node.end_lineno or node.lineno
    inner = [child.lineno for child in ast.walk(node) if isinstance(child, ast.stmt) and child is not node]
    return node.lineno, max(node.lineno, min(inner) - 1) if inner else node.end_lineno or node.lineno


def _print_table(found: dict[str, Any]) -> None:
    counts: dict[str, Counter[str]] = {}
    for mutant in found.values():
        for row in (Path(mutant["file"]).name, "all"):
            counts.setdefault(row, Counter())[mutant["status"]] += 1
    statuses = (KILLED, TIMED_OUT, SURVIVED, NOT_REACHED)
    print(f"| file | mutants | {' | '.join(statuses)} |", "|---" * (len(statuses) + 2) + "|", sep="\n")
    for row in sorted(counts, key=lambda row: (row == "all", row)):
        print(f"| {row} | {counts[row].total()} | {' | '.join(str(counts[row][status]) for status in statuses)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("files", nargs="*", help="names in the part's folder, such as table.py; all if none is given")
    parser.add_argument("--tests", nargs="+", help="tests to run, if not all of the part's")
    parser.add_argument("--again", action="store_true", help="run only those that survived the last time")
    parser.add_argument("--share", type=float, default=1.0, help="share of the mutants to run, drawn at random")
    parser.add_argument("--budget", type=float, default=math.inf, help="seconds of tests that a mutant is given at most")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    os.chdir(ROOT)
    folder = Path("shopkit") / given.part
    mutants = mutated(sorted(file for file in folder.glob("*.py") if file.name not in LEFT_ALONE))
    store = COPY / f"{given.part}.json"
    kept = of_before(mutants, json.loads(store.read_text()) if store.exists() else {})
    names = sorted(name for name in mutants if not given.files or Path(mutants[name].file).name in given.files)
    random.Random(0).shuffle(names)
    chosen = [name for name in names[: round(given.share * len(names))] if name not in kept]
    if given.again:
        chosen = [name for name in names if kept.get(name, {}).get("status") in (SURVIVED, NOT_REACHED)]

    def save() -> None:
        kept.update({name: vars(mutants[name]) for name in chosen if mutants[name].status})
        store.write_text(json.dumps({name: kept[name] for name in sorted(kept)}, indent=1, ensure_ascii=False))

    # The copy in front of whatever shopkit is installed, here and in processes that tests start.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(COPY), os.environ.get("PYTHONPATH", "")])
    sys.path.insert(0, str(COPY))
    import pytest
    from hypothesis import Phase, settings

    import shopkit

    assert Path(shopkit.__file__).is_relative_to(COPY)

    # The first example that fails is enough.
    settings.register_profile(
        "mutants", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False
    )
    same = listed(SAME / f"{given.part}.txt")

    def budget(mutant: Mutant) -> float:
        return min(given.budget, SECONDS_OF_SAME) if same[mutant.entry()] else float(given.budget)

    changed = sorted({mutant.file for mutant in mutants.values()})
    plugin = Mutants({name: mutants[name] for name in chosen}, changed, given.jobs, budget, save)
    for found in kept.values():
        plugin.notice(found["function"], found["noticed_by"])
    arguments = ["-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=mutants", "-m", LEFT_OUT]
    code = pytest.main([*arguments, *(given.tests or [f"tests/{given.part}"])], plugins=[plugin])
    save()
    survivors = [Mutant(**kept[name]).entry() for name in names if kept.get(name, {}).get("status") in (SURVIVED, NOT_REACHED)]
    new = unread(survivors, SAME / f"{given.part}.txt")
    print(*new, f"{len(survivors)} survive, {len(new)} of which are not in {SAME.name}/{given.part}.txt", sep="\n\n")
    _print_table(kept)
    sys.exit(code or bool(new))


if __name__ == "__main__":
    main()
