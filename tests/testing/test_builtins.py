"""Every built-in component keeps its contract."""

from __future__ import annotations

from shopkit.registry import load_registry
from shopkit.testing import conformance

SETTINGS = {
    "wordpiece": {"vocabulary": "scratch", "vocabulary_size": 200},
    "bert": {"encoder": "scratch", "hidden_dim": 16, "heads": 2, "layers": 1},
}
"""Instead of an encoder for English, what any vocabulary and texts will do for."""

test_conformance = conformance("shopkit", registry=load_registry(""), settings=SETTINGS)
