"""shopkit: from a shop's tables to one checked ONNX file.

Importing this module loads nothing heavy; each name below is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shopkit.crossvalidation import cross_validate
    from shopkit.hookspecs import hookimpl
    from shopkit.pipeline import run
    from shopkit.runs import Run
    from shopkit.runtime import Predictor
    from shopkit.tuning import search

__version__ = "0.1.0"
__all__ = ["Predictor", "Run", "__version__", "cross_validate", "hookimpl", "run", "search"]

_HOMES = {
    "Predictor": "shopkit.runtime",
    "Run": "shopkit.runs",
    "cross_validate": "shopkit.crossvalidation",
    "hookimpl": "shopkit.hookspecs",
    "run": "shopkit.pipeline",
    "search": "shopkit.tuning",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'shopkit' has no attribute '{name}'")
