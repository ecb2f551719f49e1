"""The screen says what the check after composition says, sooner; and never more."""

from __future__ import annotations

from pathlib import Path

import pytest

from shopkit.config import Composer
from shopkit.config.screen import screen
from shopkit.errors import ConfigError
from shopkit.registry import Registry, load_registry


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry("")


@pytest.mark.parametrize(
    "overrides",
    [
        ["+experiment=purchase_intent", "model.hiden=3"],
        ["experiment=online_shoppers", "+view.tabel=x"],
        ["model=linear", "++model.l3=3"],
        ["experiment=basket_value", "task.treshold=x"],
        ["model=mpl"],
        ["+model=gbdt"],
        ["modle=mlp"],
        ["modle.dropout=1"],
        ["experiment=nope"],
        ["trainer=gpuu"],
        ["trainer=gpu", "trainer.acelerator=cpu"],
        ["features.numers=x"],
        ["evaluation.bootstrap=3"],
        ["split=kfold", "split.folds=3"],
        ["model.members=two"],
        ["model.members=1.5"],
        ["model.members=-0.5"],
        ["model.members=True"],
        ["+model.residual=1"],
        ["model.hidden=3"],
        ["model.activation=rellu"],
        ["view.first_cutoff=2017"],
        ["trainer.lr=fast"],
        ["trainer=gpu", "trainer.precision=half"],
    ],
)
def test_it_says_the_same_sooner(overrides: list[str], registry: Registry) -> None:
    composer = Composer.of(registry)
    with pytest.raises(ConfigError) as sooner:
        composer.screen(overrides)
    with pytest.raises(ConfigError) as later:
        composer.compose(overrides)
    assert str(sooner.value) == str(later.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["+experiment=purchase_intent", "model=linear", "model.l2=3"],
        ["model.dropout=0.3", "features.columns.a.b=quantile", "seed=3", "hydra.run.dir=x", "hydra/job_logging=default"],
        ["~model.dropout", "model=null", "model.name=x", "'model'=mlp"],
        [
            "model.dropout=null",
            "model.dropout=nan",
            "model.dropout=1e-3",
            "model.dropout=0",
            "model.members=[1]",
            "model.members=1_0",
        ],
        ["source.time_zone=UTC", "source.units.price=3", "split.seed=x,y", "view.first_cutoff='2017'"],
        ["model='mlp'", "model.hidden[0]=3", "engine@package=x", "model=small"],
    ],
)
def test_it_lets_pass_what_it_cannot_be_sure_of(
    overrides: list[str], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "small.yaml").write_text("defaults: [mlp]\n")
    monkeypatch.chdir(tmp_path)
    composer = Composer.of(registry)
    for override in overrides:
        if not override.startswith("'"):
            typed = [override] if "linear" not in overrides[1:2] else overrides
            screen(composer.rewritten(typed), registry, composer.folders, "config")


def test_a_setting_of_another_component_is_left_to_the_check(registry: Registry) -> None:
    composer = Composer.of(registry)
    typed = ["model=linear", "model.dropout=0.1"]
    screen(composer.rewritten(typed), registry, composer.folders, "config")
    for check in (composer.screen, composer.compose):
        with pytest.raises(ConfigError, match="model linear has no setting 'dropout'"):
            check(typed)
