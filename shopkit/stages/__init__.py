"""The stages of a run, a module for each, and the way that goes through them."""

from __future__ import annotations

from shopkit.stages.way import STAGES, Way

__all__ = ["STAGES", "Way"]
