"""Identifiers as keyed hashes: who has the key can find a customer again, who has only the hashes cannot.

Krawczyk, Bellare, Canetti: HMAC: Keyed-Hashing for Message Authentication (RFC 2104), with SHA-256. Without a key, a hash of an
identifier hides nothing: all possible identifiers can be tried.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from shopkit.errors import ConfigError

UNIT = "HMAC-SHA256"
"""What a hashed column's unit says, in the schema of a run and of its file."""
DIGITS = 32
"""Hexadecimal digits kept of a hash: 128 bits. Two of a billion customers share one with a chance of 1 in 10²⁰."""
MIN_KEY_BYTES = 16


def keyed_hash(identifier: str, key: bytes) -> str:
    """The hash of one identifier, as text of its canonical form (`3`, not `3.0`); a missing one, "", stays missing.

    >>> keyed_hash("household 7", b"sixteen bytes ok")
    '9b26780bdb6b24e2c35b2f8f80cc6894'
    """
    return hmac.new(key, identifier.encode(), hashlib.sha256).hexdigest()[:DIGITS] if identifier else ""


def read_key(variable: str, file: str = "") -> bytes:
    """The key, from a file if one is named, else from the environment.

    Raises:
        ConfigError: there is none, or it is too short.
    """
    if file:
        try:
            key = Path(file).expanduser().read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"privacy.key_file {file} cannot be read: {error.strerror}.") from error
        where = f"privacy.key_file {file}"
    else:
        key = os.environ.get(variable, "").encode()
        where = f"the environment variable {variable}"
        if not key:
            raise ConfigError(
                f"privacy.hash_keys needs a key, and {where} is not set. Make one with: "
                f"export {variable}=$(openssl rand -hex 32), keep it, and keep it secret. Or name a file: privacy.key_file=…"
            )
    if len(key) < MIN_KEY_BYTES:
        raise ConfigError(f"The key in {where} has {len(key)} bytes; it needs at least {MIN_KEY_BYTES}.")
    return key


def key_id(key: bytes) -> str:
    """Tells one key from another without telling what it is."""
    return keyed_hash("shopkit key", key)[:8]
