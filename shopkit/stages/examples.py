"""The view, run once."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from shopkit.errors import ConfigError, DataError
from shopkit.features.base import counted
from shopkit.sources.database import in_our_words
from shopkit.sources.engine import bound
from shopkit.views.base import View
from shopkit.views.materialise import QUARANTINE, materialise

if TYPE_CHECKING:
    from shopkit.stages.way import Way


def run(way: Way) -> tuple[str, dict[str, Any]]:
    scratch = way.run.work / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    if way.tables.connection.name == "duckdb":
        bound(way.tables.connection.con, way.memory, scratch)
    view: View = way.registry.build(way.experiment.view)
    types, contract = way.experiment.features.types, view.contract().extended(way.experiment.contract)
    with in_our_words(way.tables.origin):
        examples = view.examples(way.tables)
        split = way.experiment.split
        if examples.split and (why := examples.split.refused(split.name, split.settings)):
            raise ConfigError(f"view={way.experiment.view.name}: {why}")
        made = materialise(
            examples,
            types,
            way.run.examples_path,
            way.tables.time_zone,
            contract=contract,
            now=way.began,
            memory=way.memory,
            scratch=scratch,
        )
    if made.schema.the("target") is None:
        raise DataError("No column is the target, so there is nothing to learn. Name it with view.target=<column>.")
    facts = {
        "n_rows": made.n_rows,
        "left_out": dict(made.left_out),
        "schema": made.schema.to_json(),
        "summary": examples.summary,
        "cutoff": examples.cutoff,
        "origin": way.tables.origin,
        "notes": [*way.tables.notes, *made.notes],
        "fingerprint": way.tables.fingerprint,
        "time_zone": way.tables.time_zone,
        "text": dict(way.tables.text),
    }
    left_out, aside = (
        sum(made.left_out.values()),
        sum(made.left_out[reason] for reason in made.left_out if QUARANTINE in reason),
    )
    also = f", {left_out:,} left out" + (f", {aside:,} of them in {QUARANTINE}" if aside else "") if left_out else ""
    return f"{made.n_rows:,} examples with {counted(len(made.schema.of_role('feature')), 'column')}{also}", facts
