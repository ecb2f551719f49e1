"""`shopkit init DATA --target COLUMN`"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from shopkit.cli.console import Parser, print_table
from shopkit.errors import ConfigError
from shopkit.registry import load_registry


def main(arguments: Sequence[str]) -> int:
    parser = Parser("init", "Look at a table of your own, and write the experiment file for it.")
    parser.add_argument("data", metavar="DATA", help="a CSV, TSV, Parquet or JSON-lines file, or a glob")
    parser.add_argument("--target", metavar="COLUMN", required=True, help="the column to predict")
    parser.add_argument("--name", help="of the experiment (the file's)")
    parser.add_argument("--force", action="store_true", help="write over an experiment file that is there")
    parsed = parser.parse(arguments)
    name = parsed.name or _named_after(parsed.data)
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ConfigError(f"--name must be letters, digits, '_', '-' and '.', as it names a file; got {name!r}.")
    file = Path("conf") / "experiment" / f"{name}.yaml"
    if file.exists() and not parsed.force:
        raise ConfigError(f"{file} is there already. Give another --name, or --force to write over it.")

    from shopkit.starter import look, propose, settle, text

    registry = load_registry()
    seen = look(parsed.data, parsed.target)
    proposal = propose(seen)
    split, why, counts = settle(seen, proposal, registry)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text(name, seen, proposal, split, why), encoding="utf-8")

    rows = [
        ("rows", f"{seen.n_rows:,}, {len(seen.columns)} columns"),
        ("task", f"{proposal.task}: {proposal.task_why}"),
        ("split", f"{split}: {why}"),
        ("parts", ", ".join(f"{part} {count:,}" for part, count in counts.items())),
    ]
    for role, name_of_column in (("key", "".join(proposal.keys)), ("time", proposal.time), ("group", proposal.group)):
        if name_of_column:
            rows.append((role, name_of_column))
    rows += [("as text", f"{column}: {reason}") for column, reason in proposal.types.items()]
    rows += [("left out", f"{column}: {reason}") for column, reason in proposal.ignore.items()]
    rows += [("look at", f"{column}: {reason}") for column, reason in proposal.watch.items()]
    print_table(("What", "Found"), rows)
    print(f"\n{file}\nRun it:  shopkit run +experiment={name}")
    return 0


def _named_after(data: str) -> str:
    stem = Path(data).name.partition(".")[0]
    return re.sub(r"\W+", "_", stem).strip("_") or "experiment"
