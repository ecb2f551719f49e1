"""The plugin door: every hook a plugin may implement. Implementations return plain data and import nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from shopkit.component import Component
    from shopkit.runs import Run

API_VERSION = 1
"""Version of the hooks and of the contracts in every `base.py`. It rises with each breaking change to them.

A plugin states the one it is built for, `shopkit_api_version = 1` in its hook module; one that states none is taken as it is.
"""

hookspec = pluggy.HookspecMarker("shopkit")
hookimpl = pluggy.HookimplMarker("shopkit")


@hookspec
def shopkit_sources() -> Sequence[Component]:  # type: ignore[empty-body]
    """Where raw tables come from."""


@hookspec
def shopkit_views() -> Sequence[Component]:  # type: ignore[empty-body]
    """Recipes from raw tables to examples."""


@hookspec
def shopkit_features() -> Sequence[Component]:  # type: ignore[empty-body]
    """Feature extractors: fitted in the engine, transformed in ONNX."""


@hookspec
def shopkit_models() -> Sequence[Component]:  # type: ignore[empty-body]
    """Models: a `torch.nn.Module`, or an estimator with `fit` and `to_onnx`."""


@hookspec
def shopkit_tasks() -> Sequence[Component]:  # type: ignore[empty-body]
    """What a model's output means: loss, metrics, decision, named outputs."""


@hookspec
def shopkit_exporters() -> Sequence[Component]:  # type: ignore[empty-body]
    """How a fitted run becomes files that run elsewhere."""


@hookspec
def shopkit_config_paths() -> Sequence[Path]:  # type: ignore[empty-body]
    """Folders with the plugin's own YAML (`experiment/…`), laid out as `conf/` is."""


@hookspec
def shopkit_configured(config: Mapping[str, Any]) -> None:
    """A configuration is complete, and each component right by itself: raise `ConfigError` where settings of several do not go
    together. Plain data, with every setting; nothing is to be changed."""


@hookspec
def shopkit_run_started(run: Run) -> None:
    """A run has its folder and configuration; nothing is computed yet."""


@hookspec
def shopkit_run_finished(run: Run) -> None:
    """A run is complete and sealed."""
