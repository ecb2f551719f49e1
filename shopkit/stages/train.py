"""The model, fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shopkit.runs import copy
from shopkit.settings import plain
from shopkit.training.fit import HISTORY
from shopkit.training.settings import TrainerSettings
from shopkit.training.warm_start import WEIGHTS

if TYPE_CHECKING:
    from shopkit.stages.way import Way


def run(way: Way) -> tuple[str, dict[str, Any]]:
    model = way.model
    result = model.result
    if (weights := way.run.work / "model" / WEIGHTS).is_file():
        copy(weights, way.run.path / WEIGHTS)
    if result.history:
        copy(way.run.work / "model" / HISTORY, way.run.path / HISTORY)
    facts = {
        "model": way.experiment.model.name,
        "history": result.history,
        "best_epoch": result.best_epoch,
        "seconds": round(result.seconds, 3),
        "n_parameters": model.n_parameters,
        "device": result.device,
        "threads": result.threads,
        "deterministic": result.deterministic,
        "monitor": {"name": way.task.monitor.name, "mode": way.task.monitor.mode},
        **result.facts,
    }
    started = f", started from {result.facts['init_from']['run']}" if "init_from" in result.facts else ""
    how = f"best of {len(result.history)} epochs: {result.best_epoch + 1}" if result.history else "fitted"
    tags = way.registry.get("models", way.experiment.model.name).tags
    unread = unread_settings(way.experiment.trainer) if "estimator" in tags else ""
    return f"{way.experiment.model.name} with {model.n_parameters:,} parameters{started}, {how}{unread}", facts


def unread_settings(trainer: TrainerSettings) -> str:
    """What to add of settings that were changed, where the trainer trains nothing; empty if none was."""
    usual = plain(TrainerSettings())
    changed = [f"trainer.{name}={value}" for name, value in plain(trainer).items() if value != usual[name]]
    return f"; this model is fitted in its own way, without {', '.join(changed)}" if changed else ""
