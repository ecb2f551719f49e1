"""Passwords and tokens are blotted out of everything that is written or shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "•••"
"""What stands in the place of a secret."""
_PASSWORD = re.compile(r"(?:password|passwd|passphrase|pwd|(?:^|_)pass)$")
_TOKEN = re.compile(
    r"(?:^|_)(?:secret|token|bearer|authorization|credentials?|(?:access|account|api|auth|encryption|private|secret|signing)_?key"
    r"(?:_id)?)$"
)
_INNER_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# `password=…` of a connection string or an override, `"password": …` of a dictionary, `Authorization: Bearer …` of a request.
_NAMED = re.compile(r"([A-Za-z_][\w.-]*)(?:=|['\"]\s*:\s*|:\s*(?=(?:bearer|basic)\s))", re.IGNORECASE)
_VALUE = re.compile(r"""'[^']*'|"[^"]*"|(?:(?:bearer|basic)\s+)?[^&;\s]*[^&;\s'"]""", re.IGNORECASE)
_IN_TEXT = re.compile(r"(?<=://)([^\s'\"/@:]*):[^\s'\"]*@")
# The same with blanks or quotes in the password; not a port with an address somewhere behind it.
_IN_TEXT_WITH_BLANKS = re.compile(
    rf"(?<=://)([^\s'\"/@:]*):(?!{HIDDEN}@|\d{{1,5}}(?:[/?#'\",.;:)\]]|$|\s+[^@\s]*(?:\s|$)))[^@\n]*@(?:[^\s'\"/@]*@)*"
)
_IN_VALUE = re.compile(r"(?<=://)[^/@:]*(?::.*)?@", re.DOTALL)


def without_secrets(text: str) -> str:
    """A message or log line without the passwords of its URLs, and without those in `password=…` and the like.

    >>> without_secrets("cannot reach postgres://me:s3cret@host/shop?sslmode=on&password=x")
    'cannot reach postgres://me:•••@host/shop?sslmode=on&password=•••'
    """
    for pattern in (_IN_TEXT, _IN_TEXT_WITH_BLANKS):
        text = pattern.sub(rf"\1:{HIDDEN}@", text)
    return _without_named(text)


def blotted(data: Any, key: str = "") -> Any:
    """The same plain data without what stands before the `@` of URLs, and without settings named as secrets.

    A URL alone may hold anything in its password, blanks and slashes included.

    >>> blotted({"url": "db://me:a b/c@d@host", "password": "x", "tokenizer": "words"})
    {'url': 'db://•••@host', 'password': '•••', 'tokenizer': 'words'}
    """
    if isinstance(data, Mapping):
        return {name: blotted(item, key if _is_secret(key) else str(name)) for name, item in data.items()}
    if isinstance(data, (list, tuple)):
        return [blotted(item, key) for item in data]
    if isinstance(data, int) and not isinstance(data, bool):
        # A password may be a number; a token that is one is a token of a text.
        return HIDDEN if _PASSWORD.search(_in_words(key)) else data
    if not isinstance(data, str) or not data:
        return data
    return HIDDEN if _is_secret(key) else _without_named(_IN_VALUE.sub(f"{HIDDEN}@", data))


def _without_named(text: str) -> str:
    kept, at = [], 0
    for name in _NAMED.finditer(text):
        value = _VALUE.match(text, name.end()) if name.start() >= at and _is_secret(name[1]) else None
        if value:
            kept += [text[at : name.end()], HIDDEN]
            at = value.end()
    return "".join([*kept, text[at:]])


def _is_secret(name: str) -> bool:
    """Whether a setting of this name is a secret: `db_password`, `PGPASSWORD`, `authToken`, `fs.s3a.secret.key`."""
    words = _in_words(name)
    return bool(_PASSWORD.search(words) or _TOKEN.search(words))


def _in_words(name: str) -> str:
    return re.sub(r"[.-]", "_", _INNER_CAPITAL.sub("_", name)).lower()
