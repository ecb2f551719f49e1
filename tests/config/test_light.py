"""Composing without Hydra gives what Hydra gives, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose as hydra_compose
from hydra.errors import ConfigCompositionException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopkit.config import compose
from shopkit.config.bridge import composing
from shopkit.config.composer import Composer, _plain_data
from shopkit.config.experiment import SECTIONS
from shopkit.config.light import compose_light
from shopkit.errors import ConfigError
from shopkit.registry import load_registry

REGISTRY = load_registry("")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    return tmp_path


def light(*typed: str) -> dict[str, Any] | None:
    composer = Composer.of(REGISTRY)
    found = compose_light(composer.rewritten(typed), composer.registry, composer.folders, composer.config_name)
    return None if found is None else found[0]


def full(*typed: str) -> dict[str, Any]:
    composer = Composer.of(REGISTRY)
    with composing(composer.registry, composer.folders):
        texts = [override.rewritten for override in composer.rewritten(typed)]
        return _plain_data(hydra_compose("config", texts, return_hydra_config=True), without="hydra")


def write(name: str, body: str, head: str = "# @package _global_\n") -> None:
    Path("conf/experiment", f"{name}.yaml").write_text(head + body, encoding="utf-8")


@pytest.mark.parametrize("experiment", ["purchase_intent", "basket_value", "online_shoppers"])
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["model=linear", "seed=3", "resume=true"],
        ["model.dropout=0.2", "+trainer.max_epochs=3", "++task.positive=yes"],
        ["model.hiden=3", "nowhere.at.all=1", "view.horizon_days=14"],
        ["split=random", "hydra.run.dir=runs/x", "features=auto"],
    ],
)
def test_it_is_what_hydra_gives(experiment: str, overrides: list[str]) -> None:
    typed = [f"+experiment={experiment}", *overrides]
    found = light(*typed)
    assert found is not None
    assert found == full(*typed)


def test_without_an_experiment() -> None:
    assert light() == full()


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 99), st.floats(-9, 9, allow_nan=False), st.text("ab c:#'{}[]1.-e", max_size=6)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2), max_leaves=4
)
TOP = st.sampled_from(["model", "task", "split", "features", "trainer", "seed", "name", "resume", "nonsense"])
KEYS = st.sampled_from(["dropout", "hidden", "positive", "columns", "types", "numbers", "max_epochs", "name", "odd"])


@given(
    body=st.dictionaries(TOP, st.dictionaries(KEYS, VALUES, max_size=2) | SCALARS, max_size=3),
    model=st.sampled_from(["mlp", "linear"]),
    override=st.sampled_from([[], ["model.dropout=0.5"], ["features.columns.x=log1p"], ["model=linear"], ["trainer.lr=1e-3"]]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_plain_experiment_is_as_hydra_reads_it(body: dict[str, Any], model: str, override: list[str]) -> None:
    defaults = [{"override /model": model}, {"override /source": "files"}]
    write("any", yaml.safe_dump({"defaults": defaults, **body}, sort_keys=False))
    found = light("experiment=any", *override)
    if found is None:
        return
    try:
        expected = full("experiment=any", *override)
    except ConfigCompositionException:
        # Hydra cannot merge a mapping into a list; the check refuses it as well.
        with pytest.raises(ConfigError):
            compose("any", override)
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("body", "head"),
    [
        ("name: x\n", ""),
        ("name: x\nname: y\n", "# @package _global_\n"),
        ("defaults:\n  - other\nname: x\n", "# @package _global_\n"),
        ("defaults:\n  - override /model@other: mlp\n", "# @package _global_\n"),
        ("defaults:\n  - _self_\n  - override /model: mlp\n", "# @package _global_\n"),
        ("defaults: mlp\n", "# @package _global_\n"),
        ("name: ${oc.env:HOME}\n", "# @package _global_\n"),
        ("name: a ${seed}\n", "# @package _global_\n"),
        ("name: ${nowhere}\n", "# @package _global_\n"),
        ("name: ${name}\n", "# @package _global_\n"),
        ("name: 2024-01-01\n", "# @package _global_\n"),
        ("trainer:\n  lr: 1e-3\n", "# @package _global_\n"),
        ("name: [\n", "# @package _global_\n"),
        ("- a\n", "# @package _global_\n"),
        ("1: a\n", "# @package _global_\n"),
        ("", "# @package _global_\n"),
        ("defaults:\n  - override /trainer: gpu\n", "# @package _global_\n"),
        ("defaults:\n  - override /nowhere: x\n", "# @package _global_\n"),
    ],
)
def test_what_is_not_plain_is_left_to_hydra(body: str, head: str) -> None:
    write("odd", body, head)
    assert light("experiment=odd") is None


@pytest.mark.parametrize(
    "override",
    ["~seed", "model.hidden=[1,2]", "model.dropout=0.1,0.2", "trainer=gpu", "experiment=no_such", "model@x=mlp", "a[0]=1"],
)
def test_overrides_that_are_not_plain_are_left_to_hydra(override: str) -> None:
    assert light(override) is None


@pytest.mark.parametrize(
    ("body", "typed"),
    [
        ("model:\n  hiden: 3\n", []),
        ("model:\n  dropout: 2\n", []),
        ("modle:\n  hidden: [3]\n", []),
        ("features:\n  columns:\n    x: {name: bucketise}\n", []),
        ("model:\n  hidden: deep\n", ["seed=-1"]),
        ("seed: x\n", ["model.dropout=2"]),
        ("model: mlp\n", []),
    ],
)
def test_the_message_is_that_of_the_full_check(body: str, typed: list[str]) -> None:
    write("wrong", f"defaults:\n  - override /model: mlp\n{body}")
    messages = []
    for check in (Composer.screen, Composer.compose):
        with pytest.raises(ConfigError) as error:
            check(Composer.of(REGISTRY), ["experiment=wrong", *typed])
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_every_section_is_known_to_it() -> None:
    found = light()
    assert found is not None
    assert set(SECTIONS) <= set(found)
