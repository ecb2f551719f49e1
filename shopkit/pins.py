"""Plugins pinned to the exact files they consist of."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import marshal
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution
from pathlib import Path
from types import CodeType

from shopkit.errors import PluginError, nearest

ENTRY_POINT_GROUP = "shopkit"
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_PASSED_OVER = {"__pycache__", ".pytest_cache"}


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

    Python runs the compiled file of a source, where there is one that seems to be of it. Such files differ between machines, so
    they are compared with their source, and count only if they are not what it compiles to. Packages that the plugin depends on
    are not part of it.
    """
    files = dict(_files(distribution))
    digest = hashlib.sha256()
    for name in sorted(files):
        content = hashlib.sha256(files[name].read_bytes()).hexdigest() if files[name].is_file() else "missing"
        digest.update(f"{name}\0{content}\n".encode())
    digest.update((distribution.read_text("entry_points.txt") or "").encode())
    return f"sha256:{digest.hexdigest()}"


def _files(distribution: Distribution) -> Iterator[tuple[str, Path]]:
    for name, path in _listed(distribution):
        if _PASSED_OVER & set(name.split("/")):
            continue
        yield name, path
        compiled = Path(importlib.util.cache_from_source(str(path))) if path.suffix == ".py" and path.is_file() else None
        if compiled and compiled.is_file() and not _is_of(compiled.read_bytes(), path):
            yield f"{name}, compiled", compiled


def _listed(distribution: Distribution) -> Iterator[tuple[str, Path]]:
    """Every file of the distribution's packages, and every other one that was installed with it."""
    files = distribution.files or ()
    modules = {entry.module.partition(".")[0] for entry in distribution.entry_points if entry.group == ENTRY_POINT_GROUP}
    modules |= set((distribution.read_text("top_level.txt") or "").split())
    for module in sorted(modules):
        # Finding a package by its topmost name imports nothing.
        found = importlib.util.find_spec(module)
        for folder in (found.submodule_search_locations or ()) if found else ():
            yield from _below(Path(folder))
        if found and found.origin and not found.submodule_search_locations:
            yield Path(found.origin).name, Path(found.origin)
    is_editable = '"editable": true' in (distribution.read_text("direct_url.json") or "")
    for file in files:
        path = Path(str(file.locate()))
        if is_editable and path.suffix == ".pth":
            yield from _importable(path)
        # What pip and an editable install add themselves differs between machines.
        is_own = ".dist-info" not in str(file) and not (is_editable and path.suffix in (".pth", ".py"))
        if is_own and not str(file).startswith(".."):
            yield file.as_posix(), path


def _importable(pth: Path) -> Iterator[tuple[str, Path]]:
    """Every package and module of the folders that an editable install puts on the path: a plugin may have several."""
    for folder in map(Path, filter(None, pth.read_text(encoding="utf-8").splitlines())):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.suffix == ".py":
                yield path.name, path
            elif (path / "__init__.py").is_file():
                yield from _below(path)


def _below(root: Path) -> Iterator[tuple[str, Path]]:
    for path in root.rglob("*"):
        if path.is_file():
            yield f"{root.name}/{path.relative_to(root).as_posix()}", path


def _is_of(compiled: bytes, source: Path) -> bool:
    """Whether a compiled file does what its source says, or Python would not load it in the place of the source."""
    if compiled[:4] != importlib.util.MAGIC_NUMBER:
        return True  # of another Python
    stat = source.stat()
    stamp = b"".join((int(number) & 0xFFFFFFFF).to_bytes(4, "little") for number in (stat.st_mtime, stat.st_size))
    if compiled[4:8] == bytes(4) and compiled[8:16] != stamp:
        return True  # of an earlier source
    try:
        code = marshal.loads(compiled[16:])
        return isinstance(code, CodeType) and _equal(code, compile(source.read_bytes(), str(source), "exec", dont_inherit=True))
    except (EOFError, SyntaxError, TypeError, ValueError):
        return False


def _equal(one: CodeType, other: CodeType) -> bool:
    inner = [[const for const in code.co_consts if isinstance(const, CodeType)] for code in (one, other)]
    return (
        one == other  # not all of it in every version of Python
        and (one.co_exceptiontable, one.co_stacksize) == (other.co_exceptiontable, other.co_stacksize)
        and all(map(_equal, *inner))
    )


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
