"""What verbs print: tables that are drawn on a terminal and plain in a pipe, and arguments whose errors are sentences."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from shopkit.errors import ConfigError, RunError, nearest
from shopkit.progress import is_terminal


class Parser(argparse.ArgumentParser):
    """Arguments of one verb."""

    def __init__(self, verb: str, description: str) -> None:
        super().__init__(
            prog=f"shopkit {verb}",
            description=description,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=28, width=100),
        )

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}\n{self.format_usage().strip()}")

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parsed arguments; an unknown option is answered with the nearest.

        Raises:
            ConfigError: an option or argument that is unknown or missing.
        """
        parsed, unknown = self.parse_known_args(arguments)
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            self.error(f"{self.prog} does not know '{unknown[0]}'.{nearest(unknown[0].partition('=')[0], options)}")
        return parsed


def artifact(text: str) -> Path:
    """The type of an argument that names a run's folder or an exported file; whether it is there is for its reader to say."""
    path = Path(text)
    if path.is_file() and path.suffix != ".onnx":
        raise argparse.ArgumentTypeError(f"{path} is neither a run's folder nor an exported .onnx file.")
    return path


def require_writable(target: Path, option: str) -> None:
    """Told before all the work, not after.

    Args:
        option: by which another place is named.

    Raises:
        RunError: no file can be written there.
    """
    if target.is_dir() or not target.parent.is_dir() or not os.access(target.parent, os.W_OK):
        reason = "it is a folder" if target.is_dir() else f"{target.parent} is no folder that can be written"
        raise RunError(f"Cannot write {target}: {reason}. Name a file elsewhere with {option} FILE.")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under headers: drawn by rich on a terminal; elsewhere columns two spaces apart, one line a row, without colours."""
    if is_terminal():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for header in headers:
            table.add_column(header, overflow="fold")  # a name that is cut cannot be typed
        for row in rows:
            table.add_row(*(cell.replace("[", "\\[") for cell in row))
        Console().print(table)
        return
    widths = [max(len(line[index]) for line in (headers, *rows)) for index in range(len(headers))]
    for line in (headers, *rows):
        print("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
