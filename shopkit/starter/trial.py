"""A proposal, tried as far as the split and the target: what is written runs as written."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shopkit.config import compose
from shopkit.errors import DataError
from shopkit.raw import read_columns
from shopkit.registry import Registry
from shopkit.schema import PARTS, Column
from shopkit.split import Rows, assign
from shopkit.starter.look import Look
from shopkit.starter.propose import Proposal
from shopkit.views.materialise import materialise


def settle(look: Look, proposal: Proposal, registry: Registry) -> tuple[str, str, dict[str, int]]:
    """The first proposed split under which the examples can be learnt from: its name, why, and rows by part.

    Raises:
        DataError: none works; says what the last one lacked.
    """
    overrides = [
        "source=files",
        "view=table",
        f"view.target={_quoted(look.target.name)}",
        f"view.keys=[{','.join(_quoted(key) for key in proposal.keys)}]",
        f"task={proposal.task}",
    ]
    overrides += [f"view.{role}={_quoted(name)}" for role, name in (("time", proposal.time), ("group", proposal.group)) if name]
    refused = ""
    for split, why in proposal.splits:
        experiment = compose(overrides=[*overrides, f"split={split}"], registry=registry)
        try:
            counts = _try(look, experiment, registry)
        except DataError as error:
            refused = str(error)
            continue
        return split, why + (f" (split=time did not work: {refused})" if refused and split != "time" else ""), counts
    raise DataError(f"{look.path}: {refused}")


def _try(look: Look, experiment: Any, registry: Registry) -> dict[str, int]:
    examples = registry.build(experiment.view).examples(look.tables)
    with TemporaryDirectory(prefix="shopkit-") as folder:
        path = Path(folder) / "examples.parquet"
        made = materialise(examples, {}, path, look.tables.time_zone)
        parts = assign(registry.build(experiment.split), Rows.of_file(made.schema, made.n_rows, path))
        target = made.schema.the("target")
        assert isinstance(target, Column)
        values = read_columns(path, [target.name])[target.name]
        task = registry.build(experiment.task)
        task.fit_target(values[parts == PARTS.index("train")])
        for code in range(len(PARTS)):
            task.encode(values[parts == code])
        if experiment.task.name == "binary":
            for code, part in enumerate(PARTS[1:], 1):
                if len(set(values[parts == code].tolist())) < 2:
                    raise DataError(f"The {part} part has one class only, of {int((parts == code).sum()):,} rows.")
    return {part: int((parts == code).sum()) for code, part in enumerate(PARTS)}


def _quoted(name: str) -> str:
    """A column's name as Hydra's grammar takes it."""
    escaped = name.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
    return f"'{escaped}'"
