"""Telling a Python pickle by its bytes, without loading it."""

from __future__ import annotations

import re

PICKLE = re.compile(rb"\x80[\x02-\x05]")
"""How one of protocol 2 or later begins."""


def is_pickle(data: bytes | memoryview) -> bool:
    """Whether bytes are a Python pickle of protocol 2 or later, told without loading it.

    >>> import pickle
    >>> is_pickle(pickle.dumps({"a": 1})), is_pickle(b"a text")
    (True, False)
    """
    if len(data) < 3 or data[0] != 0x80 or not PICKLE.match(data) or data[-1] != ord("."):
        return False
    import pickletools

    try:
        return all(True for _ in pickletools.genops(bytes(data)))
    except Exception:  # genops raises whatever its reading of the bytes runs into; then they are something else
        return False
