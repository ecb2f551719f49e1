"""Passwords and tokens are blotted out of everything that is written or shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "•••"
"""What stands in the place of a secret."""
_NAMED = r"(?:password|passwd|pwd|secret|token|api_?key|access_?key|credentials?)"
_KEY = re.compile(rf"(?:^|_){_NAMED}$", re.IGNORECASE)
_IN_QUERY = re.compile(rf"(?<=[?&;\s])\w*{_NAMED}=[^&;\s'\"]+", re.IGNORECASE)
_IN_TEXT = re.compile(r"(?<=://)([^\s'\"/@:]*):[^\s'\"]*@")
_IN_VALUE = re.compile(r"(?<=://)[^/@:]*(?::.*)?@", re.DOTALL)


def without_secrets(text: str) -> str:
    """A message or log line without the passwords of its URLs, and without `password=…` and the like.

    >>> without_secrets("cannot reach postgres://me:s3cret@host/shop?sslmode=on&password=x")
    'cannot reach postgres://me:•••@host/shop?sslmode=on&•••'
    """
    return _IN_QUERY.sub(HIDDEN, _IN_TEXT.sub(rf"\1:{HIDDEN}@", text)) if "://" in text or "=" in text else text


def blotted(data: Any, key: str = "") -> Any:
    """The same plain data without what stands before the `@` of URLs, and without settings named as secrets.

    A URL alone may hold anything in its password, blanks and slashes included.

    >>> blotted({"url": "db://me:a b/c@d@host", "password": "x", "tokenizer": "words"})
    {'url': 'db://•••@host', 'password': '•••', 'tokenizer': 'words'}
    """
    if isinstance(data, Mapping):
        return {name: blotted(item, str(name)) for name, item in data.items()}
    if isinstance(data, (list, tuple)):
        return [blotted(item, key) for item in data]
    if not isinstance(data, str) or not data:
        return data
    return HIDDEN if _KEY.search(key) else _IN_QUERY.sub(HIDDEN, _IN_VALUE.sub(f"{HIDDEN}@", data))
