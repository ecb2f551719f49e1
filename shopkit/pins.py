"""Plugins pinned to the exact files they consist of."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution
from pathlib import Path

from shopkit.errors import PluginError, nearest

ENTRY_POINT_GROUP = "shopkit"
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_PASSED_OVER = ("__pycache__", ".pytest_cache")


def check_form(pin: str, where: str) -> None:
    """
    Raises:
        PluginError: a pin that is not `sha256:` and 64 hexadecimal digits.
    """
    if not _HASH.fullmatch(pin):
        raise PluginError(
            f"{where} is pinned to {pin!r}; a pin is 'sha256:' and 64 digits. shopkit plugins list --hashes shows them."
        )


def plugin_hash(distribution: Distribution) -> str:
    """`sha256:…` over the names and contents of all files of a plugin: its packages as they are on disk, also where they are
    installed for editing, its other files, and its entry points. Equal wherever the same version is installed.

    Packages that it depends on are not part of it.
    """
    files = dict(_files(distribution))
    digest = hashlib.sha256()
    for name in sorted(files):
        content = hashlib.sha256(files[name].read_bytes()).hexdigest() if files[name].is_file() else "missing"
        digest.update(f"{name}\0{content}\n".encode())
    digest.update((distribution.read_text("entry_points.txt") or "").encode())
    return f"sha256:{digest.hexdigest()}"


def _files(distribution: Distribution) -> Iterator[tuple[str, Path]]:
    for entry in distribution.entry_points:
        if entry.group != ENTRY_POINT_GROUP:
            continue
        # Finding a package by its topmost name imports nothing.
        found = importlib.util.find_spec(entry.module.partition(".")[0])
        for folder in (found.submodule_search_locations or ()) if found else ():
            root = Path(folder)
            for path in root.rglob("*"):
                if path.is_file() and path.suffix != ".pyc" and not set(_PASSED_OVER) & set(path.parts):
                    yield f"{root.name}/{path.relative_to(root).as_posix()}", path
        if found and found.origin and not found.submodule_search_locations:
            yield Path(found.origin).name, Path(found.origin)
    is_editable = '"editable": true' in (distribution.read_text("direct_url.json") or "")
    for file in distribution.files or ():
        # What pip and an editable install add themselves differs between machines.
        if ".dist-info" in str(file) or file.suffix == ".pyc" or (is_editable and file.suffix in (".pth", ".py")):
            continue
        if not str(file).startswith(".."):
            yield file.as_posix(), Path(str(file.locate()))


def check_pin(name: str, pin: str, where: str) -> None:
    """
    Raises:
        PluginError: the plugin is not installed, or its files are not those that were pinned.
    """
    check_form(pin, where)
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        entries = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
        known = sorted({entry.dist.name for entry in entries if entry.dist})
        raise PluginError(
            f"{where} is pinned, and not installed.{nearest(name, known)} Plugins: {', '.join(known) or 'none'}."
        ) from None
    found = plugin_hash(distribution)
    if found != pin:
        raise PluginError(
            f"{where} was changed after it was pinned: {name} {distribution.version} has {found}, pinned is {pin}. "
            "Install the pinned version again; if the change is wanted, look at it and pin the new hash."
        )


def check_pins(pins: Mapping[str, str]) -> None:
    """Hold every pinned plugin against its files; raises `PluginError`."""
    for name, pin in pins.items():
        check_pin(name, pin, f"plugins.{name}")
