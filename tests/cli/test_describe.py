from __future__ import annotations

import pytest

from shopkit.registry import load_registry
from tests.cli.conftest import Shopkit
from tests.plugins import Install, install, model

__all__ = ["install"]


@pytest.mark.parametrize("family", ["model", "models"])
def test_settings_with_type_default_and_meaning(shopkit: Shopkit, install: Install, family: str) -> None:
    install("shopkit-trees", model("trees"))
    code, out, _ = shopkit("describe", family, "trees")
    assert code == 0
    assert out == (
        "model trees (shopkit-trees 1.2)\nA trees of its own\n\n"
        "Setting      Type  Default  Meaning\nmodel.depth  int   3        Layers.\n"
    )


def test_defaults_are_written_as_in_yaml(shopkit: Shopkit, install: Install) -> None:
    code = (
        "from dataclasses import field\n@dataclass\nclass Settings:\n    must: int\n    on: bool = True\n"
        "    none: float | None = None\n    empty: str = ''\n    many: list[str] = field(default_factory=lambda: ['a', 'b'])\n"
        "    pairs: dict[str, int] = field(default_factory=lambda: {'a': 1})\n" + model("trees")
    )
    install("shopkit-trees", code)
    defaults = [line.split("  ")[-1].strip() for line in shopkit("describe", "model", "trees")[1].splitlines()[4:]]
    assert defaults == ["(required)", "true", "null", "''", "[a, b]", "{a: 1}"]


def test_a_component_without_settings(shopkit: Shopkit, install: Install) -> None:
    install("shopkit-trees", "@dataclass\nclass Settings:\n    pass\n" + model("trees"))
    assert shopkit("describe", "model", "trees")[1].endswith("\nIt has no settings.\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["features", "bucketize"], "n_bins"),
        (["features"], "features.numbers"),
        (["trainer"], "trainer.max_epochs"),
        (["evaluation"], "evaluation.n_bootstrap"),
        (["general"], "resume"),
        (["split", "kfold"], "split.fold"),
    ],
)
def test_everything_that_can_be_set_is_described(shopkit: Shopkit, arguments: list[str], line: str) -> None:
    code, out, _ = shopkit("describe", *arguments)
    assert code == 0
    assert any(text.startswith(f"{line} ") for text in out.splitlines())


def test_every_component_can_be_described(shopkit: Shopkit) -> None:
    registry = load_registry("")
    for family in registry.families:
        for found in registry.components(family):
            assert shopkit("describe", family, found.component.name)[0] == 0


def test_what_cannot_be_described(shopkit: Shopkit) -> None:
    assert shopkit("describe", "model")[2] == "Error: Say which model to describe: linear, mlp, lstm, bert.\n"
    assert shopkit("describe", "trainr")[2].startswith("Error: There is nothing to describe as 'trainr'. Did you mean 'trainer'?")
    assert shopkit("describe", "model", "mpl")[2].startswith("Error: There is no model 'mpl'. Did you mean 'mlp'?")
    assert shopkit("describe")[2].startswith("Error: the following arguments are required: family\nusage: shopkit describe")
