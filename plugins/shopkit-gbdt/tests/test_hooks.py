"""What the plugin offers, and that offering it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import pytest
from shopkit.config import compose
from shopkit.errors import ConfigError
from shopkit.registry import load_registry

from shopkit_gbdt.settings import GbdtSettings, HistGbdtSettings


def test_hook_module_imports_nothing_heavy() -> None:
    code = (
        "import sys; import shopkit_gbdt.hooks as hooks; hooks.shopkit_models(); "
        "print(sorted({'lightgbm', 'sklearn', 'torch', 'numpy', 'onnx', 'spox', 'pandas'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["gbdt", "hist_gbdt"])
def test_registered(name: str) -> None:
    entry = load_registry().find("models", name)
    assert entry.distribution == "shopkit-gbdt"
    assert entry.component.tags == {"estimator", "features:codes"}


def test_experiment_composes() -> None:
    assert compose("purchase_intent_gbdt", [], load_registry()).model.name == "gbdt"


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        (GbdtSettings, {"n_trees": 0}, "model.n_trees is 0; it must be from 1."),
        (GbdtSettings, {"n_leaves": 1}, "model.n_leaves is 1; it must be from 2."),
        (GbdtSettings, {"learning_rate": 0.0}, "model.learning_rate is 0; it must be above 0 to 1."),
        (GbdtSettings, {"l2": -1.0}, "model.l2 is -1; it must be from 0."),
        (GbdtSettings, {"row_share": 1.5}, "model.row_share is 1.5; it must be above 0 to 1."),
        (HistGbdtSettings, {"max_bins": 256}, "model.max_bins is 256; it must be from 3 to 255."),
        (HistGbdtSettings, {"column_share": 0.0}, "model.column_share is 0; it must be above 0 to 1."),
    ],
)
def test_settings_out_of_range(settings: type, given: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        settings(**given)
    assert str(error.value) == message


@pytest.mark.parametrize("settings", [GbdtSettings, HistGbdtSettings])
def test_every_setting_can_be_given_on_the_command_line(settings: type) -> None:
    name = "gbdt" if settings is GbdtSettings else "hist_gbdt"
    overrides = [f"model={name}", *(f"model.{field.name}={field.default}" for field in fields(settings))]
    assert compose("purchase_intent_gbdt", overrides, load_registry()).model.settings == settings()
