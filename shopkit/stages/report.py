"""Pages for people, made of what the stages before left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shopkit.report import render

if TYPE_CHECKING:
    from shopkit.stages.way import Way


def run(way: Way) -> tuple[str, dict[str, Any]]:
    paths = render(way.run)
    return ", ".join(path.name for path in paths), {}
