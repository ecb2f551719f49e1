"""What is asked for beside the run's own file. What is refused is told, and the run goes on without it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from shopkit.errors import RunError, ShopkitError
from shopkit.exporters.base import Exporter, export_apart
from shopkit.progress import counted
from shopkit.registry import Choice
from shopkit.runs import Run
from shopkit.settings import plain
from shopkit.stages.export import written

if TYPE_CHECKING:
    from shopkit.stages.way import Way

Plain = dict[str, Any]


def run(way: Way) -> tuple[str, Plain]:
    found, new = recorded(way.run), lacking(way)
    for choice in counted(new, "making exports", len(new)):
        found[choice.name] = _made(way, choice)
    made = [one for choice in new if "path" in (one := found[choice.name])]
    return ", ".join(f"{one['path']}, {one['size_bytes'] / 1024:,.0f} KiB" for one in made), {"exports": found}


def recorded(run: Run) -> dict[str, Plain]:
    """Export → its `settings`, and either `path`, `files`, `checks`, `size_bytes` and more, or why it was `refused`."""
    return dict((run.facts("exports") or {}).get("exports", {}))


def lacking(way: Way) -> list[Choice]:
    """What is asked for and not there: never made, made with other settings, refused, or gone."""
    found = recorded(way.run)

    def is_there(choice: Choice) -> bool:
        one = found.get(choice.name, {})
        return one.get("settings") == plain(choice.settings) and "path" in one and (way.run.path / one["path"]).exists()

    return [choice for choice in way.experiment.exports if not is_there(choice)]


def _made(way: Way, choice: Choice) -> Plain:
    settings, folder = plain(choice.settings), way.run.exports_path / choice.name
    if folder.parent.is_symlink():  # a run folder may come from anybody
        raise RunError(f"{folder.parent} is a link: nothing is written or removed where it leads. Put a folder in its place.")
    shutil.rmtree(folder, ignore_errors=True)  # of one that is refused nothing older stays
    try:
        exporter: Exporter = way.registry.build(choice)
        exported = export_apart(exporter, way.fitted, folder)
    except RunError:  # no room, or no leave to write: the stage has not run
        raise
    except ShopkitError as error:
        way.announce("warning", f"exports: {choice.name} was refused and left out: {error}", 0.0)
        return {"settings": settings, "refused": str(error)}
    return {
        **exported.facts,
        "settings": settings,
        "path": exported.path.relative_to(way.run.path).as_posix(),
        "checks": dict(exported.checks),
        "size_bytes": sum(path.stat().st_size for path in exported.files),
        "files": written(way, exported),
        "told": dict(exported.told),
    }
