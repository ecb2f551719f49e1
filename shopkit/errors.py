"""The errors a person reads. Each is one sentence or a short list: where, what was wrong, the value received, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from shopkit.secrecy import without_secrets


class ShopkitError(Exception):
    """Base of every error that is a message to the user: printed without a traceback, and without passwords."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(message))


class ConfigError(ShopkitError):
    """A setting, component name or override that cannot be used."""

    exit_code = 2


class PluginError(ShopkitError):
    """A plugin that cannot be imported, or breaks the rules of the plugin door."""


class DataError(ShopkitError):
    """Data that cannot be used as asked: missing file or column, wrong type, empty part."""


class ArtifactError(ShopkitError):
    """A file that is not a usable shopkit artifact."""


class ExportError(ShopkitError):
    """An export whose file does not answer as the fitted model does, or could not be made."""


class RunError(ShopkitError):
    """A run that cannot start, go on or be resumed."""


def raised_elsewhere(text: str) -> ShopkitError | None:
    """The error of another process, read from the trace that it left; None where it is not one of these.

    >>> raised_elsewhere("Traceback …\nshopkit.errors.RunError: The loss is nan.\n")
    RunError('The loss is nan.')
    """
    found = re.search(r"shopkit\.errors\.(\w+): (.+)", text)
    cls = globals().get(found[1]) if found else None
    return cls(found[2].strip()) if found and isinstance(cls, type) and issubclass(cls, ShopkitError) else None


def nearest(name: str, choices: Iterable[str]) -> str:
    """`" Did you mean 'x'?"` for the closest choice, or an empty string.

    >>> nearest("hiden", ["hidden", "depth"])
    " Did you mean 'hidden'?"
    """
    import difflib  # an answer without a mistake in it comes sooner

    plain = {choice.strip().casefold(): choice for choice in reversed(list(choices))}
    match = difflib.get_close_matches(name.strip().casefold(), list(plain), n=1, cutoff=0.6)
    return f" Did you mean '{plain[match[0]]}'?" if match else ""


def with_article(word: str) -> str:
    """A word after its article.

    >>> with_article("number"), with_article("image")
    ('a number', 'an image')
    """
    return f"{'an' if word[:1].lower() in tuple('aeiou') else 'a'} {word}"


def of_a_sheet(path: Path) -> str:
    """What to do with a spreadsheet, where a table is wanted; an empty string for any other file."""
    return " Save the sheet as CSV." if path.suffix.lower() in (".xlsx", ".xls", ".xlsm", ".ods") else ""
