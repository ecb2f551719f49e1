"""What this package offers. Imported whenever shopkit starts, so nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path

from shopkit import hookimpl
from shopkit.component import Component

from shopkit_gbdt.settings import GbdtSettings, HistGbdtSettings

_TAGS = frozenset({"estimator", "features:codes"})


@hookimpl
def shopkit_models() -> list[Component]:
    return [
        Component(
            "gbdt", GbdtSettings, "shopkit_gbdt.gbdt:Gbdt", "Gradient-boosted trees by LightGBM, categories split natively", _TAGS
        ),
        Component(
            "hist_gbdt",
            HistGbdtSettings,
            "shopkit_gbdt.hist_gbdt:HistGbdt",
            "Gradient-boosted trees by scikit-learn's histogram boosting",
            _TAGS,
        ),
    ]


@hookimpl
def shopkit_config_paths() -> list[Path]:
    return [Path(__file__).parent / "conf"]
