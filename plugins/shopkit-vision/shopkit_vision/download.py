"""A file from the web, checked and kept."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from pathlib import Path

from shopkit.errors import DataError
from shopkit.runs import replacing

from shopkit_vision import idx


def cache_folder(name: str) -> Path:
    """`<user's cache folder>/shopkit/<name>`."""
    base = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("LOCALAPPDATA") if os.name == "nt" else "")
    return (Path(base) if base else Path.home() / ".cache") / "shopkit" / name


def fetched(url: str, path: Path, sha256: str, timeout_seconds: float, advice: str) -> bytes:
    """The unpacked content of a file, downloaded to `path` unless it is there.

    Args:
        sha256: of the unpacked content, as packing differs from mirror to mirror.
        timeout_seconds: longest silence of the server.
        advice: what to do without the network, for messages.

    Raises:
        DataError: it cannot be downloaded, or is something else; nothing is kept then.
    """
    if path.is_file():
        kept = idx.content(path)
        if hashlib.sha256(kept).hexdigest() == sha256:
            return kept
    if not url.startswith(("https://", "http://")):
        raise DataError(f"{url} is not a web address; it begins with https:// or http://. {advice}")
    try:
        with urllib.request.urlopen(url, timeout=timeout_seconds) as response:  # the scheme is checked above
            data = response.read()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, "name another with source.cache=FOLDER") as temporary:
            temporary.write_bytes(data)
            content = idx.content(temporary)
            found = hashlib.sha256(content).hexdigest()
            if found != sha256:
                raise DataError(
                    f"What {url} gave is not the expected file: its content has sha256 {found}, not {sha256}. It was not kept. "
                    f"{advice}"
                )
            return content
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"Cannot download {url} to {path.parent} ({reason}). {advice}") from None
