"""The configuration: finding it, composing it with Hydra, and holding every key and type of it against the dataclasses."""

from __future__ import annotations

from shopkit.config.composer import Composer, compose, from_hydra
from shopkit.config.experiment import Choice, Experiment

__all__ = ["Choice", "Composer", "Experiment", "compose", "from_hydra"]
