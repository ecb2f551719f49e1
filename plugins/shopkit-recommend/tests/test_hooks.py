"""What the plugin offers, and that offering it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from shopkit.config import compose
from shopkit.errors import ConfigError
from shopkit.registry import FIRST_PARTY, load_registry

import shopkit_recommend
from shopkit_recommend.models.settings import EaseSettings, ItemKnnSettings, PopularSettings, SessionKnnSettings
from shopkit_recommend.tasks.next_item import NextItem

EXPERIMENTS = sorted(path.stem for path in (Path(shopkit_recommend.__file__).parent / "conf" / "experiment").glob("*.yaml"))


def test_hook_module_imports_nothing_heavy() -> None:
    code = (
        "import sys; import shopkit_recommend.hooks as hooks; hooks.shopkit_models(); hooks.shopkit_views(); "
        "print(sorted({'torch', 'numpy', 'scipy', 'onnx', 'spox', 'pandas', 'ibis'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_core_knows_where_each_component_comes_from() -> None:
    registry = load_registry()
    for family in ("models", "views", "features", "tasks", "exporters"):
        named = {name for name, home in FIRST_PARTY.get(family, {}).items() if home == "shopkit-recommend"}
        mine = {entry.component.name for entry in registry.components(family) if entry.distribution == "shopkit-recommend"}
        assert named == mine


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_compose(name: str) -> None:
    experiment = compose(name, [], load_registry())
    assert experiment.task.name == "next_item"
    assert NextItem(experiment.task.settings).extractors == {"history": "catalogue"}
    assert not experiment.features.columns
    # A file reads no more steps of a history than there were to learn from.
    assert experiment.features.max_length <= experiment.view.settings.max_steps


HAND_MADE = ["source=dataframe", "view=interactions", "task=next_item", "model=popular"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ["view.max_steps=50"],
            r"features\.max_length=256: the file would read 256 steps of a history, and training sees the latest "
            r"view\.max_steps=50\. Set features\.max_length=50, or in an experiment file features\.max_length: "
            r"\$\{view\.max_steps\}\.",
        ),
        (["features.max_length=0"], r"features\.max_length=0: the file would read all steps of a history"),
        (
            ["view.whole_past=true", "features.max_length=50"],
            r"view\.whole_past=true makes rows of view\.max_steps=256 steps, and features\.max_length=50 lets training see the "
            r"latest 50 of each: not the whole past\. Set view\.max_steps=50, or features\.max_length=256\.",
        ),
    ],
)
@pytest.mark.parametrize("view", ["interactions", "item_sequences", "session_prefixes"])
def test_a_file_reads_what_there_was_to_learn_from(view: str, changes: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(None, [*HAND_MADE, f"view={view}", *changes], load_registry())


def test_steps_that_fit_together() -> None:
    """As they are, tied, or with a past of which models read the latest steps and the mask all."""
    for changes in ([], ["view.max_steps=50", "features.max_length=50"], ["features.max_length=50"], ["view.whole_past=true"]):
        experiment = compose(None, [*HAND_MADE, *changes], load_registry())
        assert 0 < experiment.features.max_length <= experiment.view.settings.max_steps
    # Other views say themselves how long their lists are.
    tables = ["source=dataframe", "view=table", "view.target=y", "features.max_length=0"]
    assert compose(None, tables, load_registry()).features.max_length == 0


def test_a_blend_does_not_choose_by_what_it_remembers() -> None:
    both, registry = "view.train_on_validation=true", load_registry()
    single = ["model.neighbour_weights=[0.2]", "model.follower_weights=[0.3]"]
    message = r"model=blend chooses among model\.follower_weights=\[0\.0, 0\.2, 0\.3, 0\.4\] by the validation part"
    with pytest.raises(ConfigError, match=message):
        compose("session_next_click", ["model=blend", both, single[0]], registry)
    with pytest.raises(ConfigError, match=r"model\.neighbour_weights=\[…\], model\.follower_weights=\[…\]\."):
        compose("session_next_click", ["evaluation.baselines=[blend]", both], registry)
    assert compose("session_next_click", ["model=blend", both, *single], registry).model.name == "blend"
    assert compose("session_next_click", ["model=blend"], registry).model.name == "blend"


@pytest.mark.parametrize(
    ("settings", "chosen", "message"),
    [
        (PopularSettings, {"half_life_days": -1}, "model.half_life_days is -1; it must be from 0."),
        (ItemKnnSettings, {"decay": 0}, "model.decay is 0; it must be above 0 to 1."),
        (ItemKnnSettings, {"shrink": -1}, "model.shrink is -1; it must be from 0."),
        (SessionKnnSettings, {"neighbours": 0}, "model.neighbours is 0; it must be from 1."),
        (EaseSettings, {"l2": 0}, "model.l2 is 0; it must be above 0."),
        (EaseSettings, {"max_items": 0}, "model.max_items is 0; it must be from 1."),
    ],
)
def test_settings_out_of_range(settings: type, chosen: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        settings(**chosen)
    assert str(error.value) == message
