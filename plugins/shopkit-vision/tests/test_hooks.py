"""What the plugin offers, and that offering it costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from shopkit.config import compose
from shopkit.errors import ConfigError
from shopkit.registry import load_registry

from shopkit_vision import settings


def test_hook_module_imports_nothing_heavy() -> None:
    code = (
        "import sys; import shopkit_vision.hooks as hooks; hooks.shopkit_models(); hooks.shopkit_sources(); "
        "print(sorted({'PIL', 'torch', 'numpy', 'onnx', 'spox', 'pandas', 'pyarrow'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("experiment", ["product_image", "product_image_long"])
def test_experiments_compose(experiment: str) -> None:
    composed = compose(experiment, [], load_registry())
    assert (composed.source.name, composed.model.name, composed.task.name) == ("fashion_mnist", "cnn", "multiclass")


@pytest.mark.parametrize(
    ("cls", "given", "message"),
    [
        (settings.FashionMnistSettings, {"timeout_seconds": 0.0}, "source.timeout_seconds is 0; it must be above 0."),
        (settings.ImageFolderSettings, {"channels": 2}, "source.channels is 2; it must be 1 (grey), 3 (RGB) or 4 (RGBA)."),
        (settings.ImageFolderSettings, {"max_side": -1}, "source.max_side is -1; it must be from 0."),
        (settings.ImageSettings, {"height": -1}, "image.height is -1; it must be from 0."),
        (settings.PixelsSettings, {"width": 0}, "pixels.width is 0; it must be from 1."),
        (settings.CnnSettings, {"stem": 0}, "model.stem is 0; it must be from 1."),
        (settings.CnnSettings, {"widths": []}, "model.widths is empty; give the channels of at least one stage."),
        (settings.CnnSettings, {"widths": [8, 0]}, "model.widths is 0; it must be from 1."),
        (settings.CnnSettings, {"dropout": 1.0}, "model.dropout is 1; it must be from 0 to below 1."),
        (settings.CnnSettings, {"shift": 0.6}, "model.shift is 0.6; it must be from 0 to 0.5."),
        (settings.CnnSettings, {"erase": 2.0}, "model.erase is 2; it must be from 0 to 1."),
        (settings.CnnSettings, {"mixup": -0.1}, "model.mixup is -0.1; it must be from 0."),
    ],
)
def test_settings_out_of_range(cls: type, given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        cls(**given)
    assert str(error.value) == message
