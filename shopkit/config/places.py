"""Where a setting was set: which override, or which line of which file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shopkit.config.folders import Folders
from shopkit.config.overrides import Override

Sources = Sequence[tuple[str, str]]
"""`(config path, package)` of every composed config, the last winning: `("experiment/purchase_intent", "")`."""


@dataclass(frozen=True)
class Place:
    """One place in the command line or a file."""

    text: str
    """As a message names it."""
    file: Path | None = None


@dataclass(frozen=True)
class Places:
    """Finds where settings of one composed configuration were set."""

    overrides: Sequence[Override]
    folders: Folders
    sources: Callable[[], Sources]
    """Asked only when the command line does not answer."""

    def of(self, path: str) -> Place | None:
        """Where the setting at a dotted path got its value; None when it is a component's default."""
        for override in reversed(self.overrides):
            if override.sets(path):
                return Place(f"command line: {override.typed}")
        for config, package in reversed(self.sources()):
            file = self.folders.file(config)
            if file is None:
                continue
            inner = path if not package else path.removeprefix(f"{package}.") if path.startswith(f"{package}.") else None
            line = _line_of(_document(file), inner) if inner else None
            if line is not None:
                return Place(f"{shown(file)}, line {line}", file)
        return None

    def of_option(self, group: str, option: str) -> Place | None:
        """Where an option of a config group was chosen."""
        for override in reversed(self.overrides):
            if override.key == group and override.value.strip("'\"") == option:
                return Place(f"command line: {override.typed}")
        for name, file in self.folders.experiments().items():
            if any(override.key == "experiment" and override.value == name for override in self.overrides):
                line = next((at for key, value, at in _choices(file) if (key, value) == (group, option)), None)
                if line is not None:
                    return Place(f"{shown(file)}, line {line}", file)
        return None


def chosen_in(file: Path, group: str) -> str | None:
    """The option of a group that a file chooses in its own defaults list."""
    return next((value for key, value, _ in _choices(file) if key == group), None)


def shown(path: Path) -> str:
    """A path as a message shows it: relative where it stands below the current directory."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _document(file: Path) -> Any:
    import yaml  # type: ignore[import-untyped]

    return yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)


def _line_of(node: Any, path: str) -> int | None:
    """The line of the key at a dotted path; a key may hold dots itself, and list positions are passed over."""
    if not hasattr(node, "value") or not isinstance(node.value, list):
        return None
    for key, value in (pair for pair in node.value if isinstance(pair, tuple)):
        if key.value == path or path.startswith(f"{key.value}["):
            return int(key.start_mark.line) + 1
        if path.startswith(f"{key.value}."):
            line = _line_of(value, path[len(key.value) + 1 :])
            if line is not None:
                return line
    return None


def _choices(file: Path) -> list[tuple[str, str, int]]:
    """`(group, option, line)` of a file's defaults list."""
    document = _document(file)
    found: list[tuple[str, str, int]] = []
    for key, value in document.value if document is not None and isinstance(document.value, list) else ():
        if key.value != "defaults" or not isinstance(value.value, list):
            continue
        for item in value.value:
            for group, option in item.value if isinstance(item.value, list) else ():
                name = group.value.removeprefix("override ").strip().lstrip("/").partition("@")[0]
                found.append((name, option.value, int(group.start_mark.line) + 1))
    return found
