"""Which examples are trained on, validated on, tested on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shopkit.split.base import GAP, NAMES, Rows, Split, assign

__all__ = ["GAP", "NAMES", "Rows", "Split", "assign"]


def __getattr__(name: str) -> Any:
    # On first use: the settings beside it are imported by `shopkit --help`, which needs no numpy.
    if name in __all__:
        from shopkit.split import base

        return getattr(base, name)
    raise AttributeError(f"module 'shopkit.split' has no attribute '{name}'")
