from __future__ import annotations

import pytest

from shopkit import runs
from shopkit.config import overrides
from shopkit.config.overrides import expand, rewrite

GROUPS = {"model", "experiment"}


def rewritten(*typed: str) -> list[str]:
    return [override.rewritten for override in rewrite(typed, GROUPS, {"engine"})]


def test_values_are_forced_groups_are_chosen_and_hydra_keeps_its_own() -> None:
    given = (
        "model=mlp",
        "+experiment=x",
        "++model=mlp",
        "model.lr=1",
        "+model.lr=1",
        "engine=spark",
        "hydra.verbose=true",
        "~model.lr",
    )
    assert rewritten(*given) == [
        "model=mlp", "experiment=x", "model=mlp", "++model.lr=1", "++model.lr=1", "+engine=spark", "hydra.verbose=true",
        "~model.lr",
    ]  # fmt: skip
    assert rewritten("hydra/launcher=basic", "model@other=mlp") == ["hydra/launcher=basic", "model@other=mlp"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("hydra.run.dir=runs/a", "hydra.run.dir=runs/a.partial"),
        ("hydra.run.dir=runs/a/", "hydra.run.dir=runs/a.partial"),
        ("hydra.run.dir='runs/a b'", "hydra.run.dir='runs/a b.partial'"),
        ("hydra.run.dir=runs/a.partial", "hydra.run.dir=runs/a.partial"),
        ("hydra.sweep.subdir=${hydra.job.num}", "hydra.sweep.subdir=${hydra.job.num}.partial"),
        ("hydra.sweep.dir=runs/s", "hydra.sweep.dir=runs/s"),
    ],
)
def test_a_run_folder_is_partial_until_the_run_is_complete(typed: str, expected: str) -> None:
    assert rewritten(typed) == [expected]
    assert overrides.PARTIAL == runs.PARTIAL


def test_which_settings_an_override_sets() -> None:
    (choice, value, mapping, deleted, index) = rewrite(
        ["model=mlp", "model.lr=1", "model.inner={a:1}", "~model.x", "model[lr]=2"], GROUPS
    )
    assert choice.is_choice
    assert choice.sets("model")
    assert not choice.sets("model.lr")
    assert value.sets("model.lr")
    assert value.sets("model.lr[0]")
    assert value.sets("model")
    assert not value.sets("model.lrs")
    assert mapping.sets("model.inner.a")
    assert not deleted.sets("model.x")
    assert index.sets("model.lr")


def test_a_sweep_tries_every_value_once() -> None:
    given = rewrite(
        ["model=mlp,linear", "seed=1,2", "model.lr=choice(0.1,0.2)", "model.a=range(0,2)", "model.b=interval(0,1)"], GROUPS
    )
    runs_of_sweep = expand(given, None)
    assert runs_of_sweep[0] == ["model=mlp", "++seed=1", "++model.lr=0.1", "++model.a=0"]
    assert len(runs_of_sweep) == 5
    assert {text for run in runs_of_sweep for text in run} == {
        "model=mlp", "model=linear", "++seed=1", "++seed=2", "++model.lr=0.1", "++model.lr=0.2", "++model.a=0", "++model.a=1",
    }  # fmt: skip
