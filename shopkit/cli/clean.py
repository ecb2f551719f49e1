"""`shopkit clean [FOLDER] [rules]`"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from pathlib import Path

from shopkit.cli.console import Parser, print_table
from shopkit.errors import ConfigError

_DESCRIPTION = """\
List old runs, and with --yes remove those that every rule given lets go.

The newest run of an experiment, pinned runs (shopkit pin RUN) and runs at work are never removed. A cross-validation
and a search count as one run each, with all that is in their folders.

  shopkit clean                              every run, and why it stays
  shopkit clean --older-than 30d --keep-best 3
  shopkit clean --keep-newest 5 --partial --yes
"""
_AGE = re.compile(r"(\d+(?:\.\d+)?)([hdw])")
_DAYS = {"h": 1 / 24, "d": 1, "w": 7}


def main(arguments: Sequence[str]) -> int:
    parser = Parser("clean", _DESCRIPTION)
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=Path("runs"), help="where runs are (runs)")
    parser.add_argument("--older-than", metavar="AGE", help="let go what is older: 12h, 30d, 8w")
    parser.add_argument("--keep-newest", metavar="N", type=int, help="keep the N newest of each experiment")
    parser.add_argument("--keep-best", metavar="N", type=int, help="keep the N best of each experiment, by its first metric")
    parser.add_argument("--partial", action="store_true", help="let go runs that were not finished, unless they are at work")
    parser.add_argument("--yes", action="store_true", help="remove them; without it, nothing is changed")
    parsed = parser.parse(arguments)

    from shopkit.housekeeping import Rules, remove, survey

    rules = Rules(_days(parsed.older_than), parsed.keep_newest, parsed.keep_best, parsed.partial)
    found = survey(parsed.folder, rules)
    print_table(
        ("Folder", "Kind", "Experiment", "Of", "MiB", "", "Why"),
        [
            (
                str(one.work.path),
                one.work.kind.name,
                one.work.experiment,
                dt.datetime.fromtimestamp(one.work.modified).strftime("%Y-%m-%d %H:%M"),
                f"{one.work.size_bytes / 2**20:,.1f}",
                "goes" if one.goes else "stays",
                one.why,
            )
            for one in found
        ],
    )
    going = [one for one in found if one.goes]
    size = sum(one.work.size_bytes for one in going) / 2**20
    if parsed.yes:
        gone = remove(going)
        print(f"\n{len(gone)} of {len(found)} runs removed, {size:,.1f} MiB.")
    else:
        print(f"\n{len(going)} of {len(found)} runs would go, {size:,.1f} MiB. Nothing was changed; --yes removes them.")
    return 0


def _days(age: str | None) -> float | None:
    if age is None:
        return None
    match = _AGE.fullmatch(age)
    if match is None:
        raise ConfigError(f"--older-than {age}: give a number with h, d or w, e.g. 12h, 30d or 8w.")
    return float(match[1]) * _DAYS[match[2]]
