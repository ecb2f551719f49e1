"""What is composed, and the message for everything that cannot be."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from shopkit.config import Composer, compose
from shopkit.config.folders import core_folder
from shopkit.errors import ConfigError
from shopkit.registry import Registry, load_registry
from tests.plugins import Install, install, model

__all__ = ["install"]

Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, and no plugins but those a test makes."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SHOPKIT_PLUGINS", "")
    return folder


@pytest.fixture
def experiment(here: Path) -> Write:
    """`experiment("mine", yaml)` writes an experiment into the user's own `./conf`."""

    def write(name: str, text: str) -> Path:
        path = here / "conf" / "experiment" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("# @package _global_\n" + text, encoding="utf-8")
        return path

    return write


def problem(overrides: list[str], name: str | None = None, registry: Registry | None = None) -> str:
    with pytest.raises(ConfigError) as error:
        compose(name, overrides, registry)
    return str(error.value)


def test_defaults_make_an_experiment() -> None:
    made = compose()
    assert (made.name, made.seed, made.resume) == ("shopkit", 0, False)
    assert (made.source.name, made.view.name, made.split.name) == ("completejourney", "purchase_within", "time")
    assert (made.model.family, made.model.name, made.task.name, made.exporter.name) == ("models", "mlp", "binary", "onnx")
    assert made.features.numbers == "auto"
    assert made.raw["model"] == {"name": "mlp", **made.raw["model"]}


@pytest.mark.parametrize("name", ["triton", "optimized", "openvino", "web", "int8", "fp16"])
@pytest.mark.parametrize("more", [[], ["view.windows_days=[7,14]"]])
def test_an_exporter_that_does_not_write_the_runs_file_is_refused_at_once(name: str, more: list[str]) -> None:
    message = problem([f"exporter={name}", *more])
    assert message.startswith(f"command line: exporter={name}: ")
    assert f"Put it into exports=[{name}], " in message
    assert message.endswith("exporter= takes onnx.")
    assert [choice.name for choice in compose(None, [f"exports=[{name}]"]).exports] == [name]


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_settings_are_typed_whatever_the_sign(sign: str) -> None:
    made = compose(None, [f"{sign}model.dropout=0", f"{sign}model=mlp", f"{sign}seed=3", f"{sign}view.windows_days=[7,14]"])
    assert made.model.settings.dropout == 0.0
    assert isinstance(made.model.settings.dropout, float)
    assert made.seed == 3
    assert made.view.settings.windows_days == [7, 14]
    assert made.raw["view"]["windows_days"] == [7, 14]


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_an_experiment_is_chosen_with_or_without_plus(sign: str) -> None:
    assert compose(None, [f"{sign}experiment=basket_value"]).task.name == "regression"


@pytest.mark.parametrize("path", sorted((core_folder() / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_experiment_composes_and_opens_with_its_command(path: Path) -> None:
    made = compose(path.stem)
    assert made.name == path.stem
    header, command, summary = path.read_text(encoding="utf-8").splitlines()[:3]
    assert header == "# @package _global_"
    assert command.startswith(f"# shopkit run +experiment={path.stem}")
    assert summary.startswith("# ")
    assert compose(None, shlex.split(command.removeprefix("# shopkit run "))).name == path.stem


OPTIONS = [path for path in sorted(core_folder().glob("[!e]*/*.yaml")) if path.parent.name != "hparams_search"]


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_shipped_option_composes(path: Path) -> None:
    compose(None, [f"{path.parent.name}={path.stem}"])


def test_one_fold_of_a_cross_validation_of_any_experiment() -> None:
    made = compose("online_shoppers", ["split=kfold", "split.fold=2"])
    assert (made.split.name, made.split.settings.fold) == ("kfold", 2)


def test_settings_for_a_replaced_component_are_left_out(experiment: Write) -> None:
    experiment("mine", "defaults: [purchase_intent]\nmodel: {dropout: 0.3, members: 2}\n")
    assert compose("mine").model.settings.dropout == 0.3
    replaced = compose("mine", ["model=linear"])
    assert set(replaced.raw["model"]) == {"name", "l2", "max_iterations", "tolerance", "prior"}
    assert problem(["model=linear", "model.dropout=0.3"], "mine").startswith(
        "command line: model.dropout=0.3: model linear has no"
    )


def test_values_may_refer_to_each_other(experiment: Write) -> None:
    experiment("mine", "split: {gap_days: '${view.horizon_days}'}\n")
    assert compose("mine", ["view.horizon_days=9"]).split.settings.gap_days == 9.0
    assert problem(["model.dropout=${nope}"]) == "command line: model.dropout=${nope}: Interpolation key 'nope' not found"


def test_composing_is_reentrant_and_leaves_hydra_as_it_was() -> None:
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    before = set(ConfigStore.instance().repo), list(Plugins.instance().discover(SearchPathPlugin))
    marker = object()
    GlobalHydra.instance().hydra = marker  # type: ignore[assignment]
    try:
        compose("purchase_intent")
        problem(["model.dropout=x"])
        assert GlobalHydra.instance().hydra is marker
    finally:
        GlobalHydra.instance().clear()
    assert (set(ConfigStore.instance().repo), list(Plugins.instance().discover(SearchPathPlugin))) == before


MLP = "activation, category_dim, dropout, embedding_dim, hidden, init_from, input_dropout, members, normalization, residual"
TOP = (
    "name, seed, resume, cv, memory, plugins, engine, source, view, contract, split, features, model, task, exporter, exports, "
    "trainer, logger, evaluation, privacy"
)

COMMAND_LINE = {
    "model.hiden=3": f"model mlp has no setting 'hiden'. Did you mean 'hidden'? Its settings: {MLP}.",
    "+model.hiden=3": f"model mlp has no setting 'hiden'. Did you mean 'hidden'? Its settings: {MLP}.",
    "++model.hiden=3": f"model mlp has no setting 'hiden'. Did you mean 'hidden'? Its settings: {MLP}.",
    "model.zzz=3": f"model mlp has no setting 'zzz'. Its settings: {MLP}.",
    "model=mpl": "There is no model 'mpl'. Did you mean 'mlp'? Models: bert, linear, lstm, mlp.",
    "+model=gbdt": "There is no model 'gbdt'. Models: bert, linear, lstm, mlp. 'gbdt' comes with shopkit-gbdt: pip install",
    "modle=mlp": f"There is no 'modle'. Did you mean 'model'? There are: {TOP}.",
    "modle.dropout=3": f"There is no 'modle'. Did you mean 'model'? There are: {TOP}.",
    "experiment=purchase_intnet": "There is no experiment 'purchase_intnet'. Did you mean 'purchase_intent'? Experiments: ",
    "trainer=gpuu": "There is no trainer 'gpuu'. Did you mean 'gpu'? There are: ddp, debug, default, gpu.",
    "trainer.max_epoch=3": "trainer has no setting 'max_epoch'. Did you mean 'max_epochs'? Its settings: ",
    "split=tmie": "There is no split 'tmie'. Did you mean 'time'? Splits: given, group, group_kfold, kfold,",
    "hydra/launcher=slurm_here": "There is no hydra/launcher 'slurm_here'. There are: basic",
    "hydra/launcher=submitit_slurm": "The launcher submitit_slurm is not installed. Run: pip install hydra-submitit-launcher",
    "hydra/launcher=ray": "The launcher ray is not installed. Run: pip install hydra-ray-launcher (see docs/engines.md)",
    "hydra.run.dirr=x": "Hydra has no setting 'dirr' there. Did you mean 'dir'? There are: dir.",
    "model.members=two": "must be a whole number, got 'two'.",
    "model.members=1.5": "must be a whole number, got 1.5.",
    "model.members=true": "must be a whole number, got true.",
    "model.dropout=true": "must be a number, got true.",
    "model.dropout=null": "must be a number, got null.",
    "model.residual=1": "must be true or false, got 1.",
    "model.hidden=3": "must be a list, each item a whole number, got 3.",
    "model.hidden=[64,x]": "model.hidden[1]: must be a whole number, got 'x'.",
    "model.activation=rellu": "must be one of 'relu', 'silu', 'gelu', got 'rellu'. Did you mean 'relu'?",
    "view.first_cutoff=2017": "must be text, got 2017. Write it in quotes: '\"2017\"'.",
    "model.dropout=2": "model.dropout is 2; it must be from 0 to below 1.",
    "view.horizon_days=-7": "view.horizon_days is -7; it must be at least 1 day.",
    "seed=-1": "seed must lie between 0 and 4294967295, got -1.",
    "seed=one": "must be a whole number, got 'one'.",
    "name=a/b": "name must be letters, digits, '_', '-' and '.', as it names a folder; got 'a/b'.",
    "features.columns.x=quantil": "There is no extractor 'quantil'. Did you mean 'quantile'? Extractors: bucketize, ",
    "features.columns.x={name:bucketize,n_bin:3}": "features.columns.x.n_bin: extractor bucketize has no setting 'n_bin'. Did",
    "features.columns.x={n_bins:3}": "features.columns.x is {'n_bins': 3}, which has no name: write {name: <extractor>, ",
    "features.types.x=strin": "must be one of 'number', 'string', 'time', 'image', got 'strin'. Did you mean 'string'?",
    "model={dropout:0.1}": "model is chosen by a name; its settings are given as model.<setting>=<value>.",
    "model=[mlp,linear]": "model is chosen by a name; its settings are given as model.<setting>=<value>.",
    "trainer=5": "trainer is chosen by a name; its settings are given as trainer.<setting>=<value>.",
    "model.name=linear": "a component is chosen by its group: model=linear",
    "model._target_=os.system": "`_target_` is refused: a configuration chooses among installed components",
    "features.columns.x={_target_:os.system}": "`_target_` is refused: a configuration chooses among installed components",
    "+hydra.callbacks.x._target_=os.system": "`_target_` is refused: a configuration chooses among installed components",
    "model.dropout=0.1,0.2": "several values. Give a list as [0.1,0.2], text in quotes, or add --multirun to try each.",
    "model.dropout=range(1,3)": "Sweep parameters 'model.dropout=range(1,3)' requires --multirun",
    "source.path=[": "no viable alternative at input '['",
    "~model.hiden": "Could not delete from config. 'model.hiden' does not exist.",
}


@pytest.mark.parametrize("override", COMMAND_LINE)
def test_command_line(override: str) -> None:
    text = problem([override])
    assert text.startswith(f"command line: {override}: {COMMAND_LINE[override]}")
    assert "++" not in text.replace(override, "")
    assert len(text.splitlines()) == 1


def test_what_is_not_an_override() -> None:
    expected = "command line: 'mlp' is not an override; write key=value, e.g. model=mlp or model.dropout=0.1."
    assert problem(["mlp"]) == expected


def test_nothing_chosen() -> None:
    assert problem(["~model"]).endswith("nothing is chosen; add model=<name>. There are: bert, linear, lstm, mlp.")


IN_FILE = {
    "model: {hiden: 3}": f"2: model.hiden: model mlp has no setting 'hiden'. Did you mean 'hidden'? Its settings: {MLP}.",
    "model:\n  dropout: 0.1\n  members: two": "4: model.members: must be a whole number, got 'two'.",
    "modle: {dropout: 1}": f"2: modle: There is no 'modle'. Did you mean 'model'? There are: {TOP}.",
    "defaults:\n  - override /model: mpl": "3: There is no model 'mpl'. Did you mean 'mlp'? Models: bert, linear, lstm, mlp.",
    "model: {_target_: os.system}": "2: model._target_: `_target_` is refused: a configuration chooses among",
    "features:\n  columns:\n    x: [standardize, quantil]": "4: features.columns.x: There is no extractor 'quantil'.",
    "features:\n  columns:\n    a.b: {name: bucketize, n_bin: 3}": "4: features.columns.a.b.n_bin: extractor bucketize has no",
    "trainer:\n  lr: 0": "3: trainer.lr is 0; it must be above 0.",
    "model: 5": "2: model: nothing is chosen; add model=<name>. There are: bert, linear, lstm, mlp.",
    "model: linear": "2: model: linear is chosen under defaults, as '- override /model: linear'.",
    "trainer: 5": "2: trainer: must be settings, got 5. Its settings: max_epochs, ",
    "name: 2024": "2: name: must be text, got 2024. Write it in quotes",
}


@pytest.mark.parametrize("text", IN_FILE)
def test_users_experiment_file(experiment: Write, text: str) -> None:
    experiment("mine", text + "\n")
    assert problem([], "mine").startswith(f"conf/experiment/mine.yaml, line {IN_FILE[text]}")


def test_hydra_callbacks_in_a_file_cannot_name_code(experiment: Write) -> None:
    experiment("mine", "hydra: {callbacks: {x: {_target_: os.system}}}\n")
    assert "line 2: hydra.callbacks.x._target_: `_target_` is refused" in problem([], "mine")


def test_a_file_that_is_not_yaml(experiment: Write) -> None:
    experiment("mine", "model: [\n")
    assert problem([], "mine").startswith("not a YAML file: while parsing a flow node")


def test_a_file_used_by_another_is_named(experiment: Write) -> None:
    experiment("base", "model: {hiden: [3]}\n")
    experiment("mine", "defaults: [base]\nseed: 3\n")
    assert problem([], "mine").startswith("conf/experiment/base.yaml, line 2: model.hiden: ")


def test_an_option_of_the_users_own(here: Path) -> None:
    (here / "conf" / "model").mkdir(parents=True)
    own = here / "conf" / "model" / "small.yaml"
    own.write_text("defaults: [mlp]\nhidden: [8]\n")
    assert compose(None, ["model=small"]).model.settings.hidden == [8]
    own.write_text("defaults: [mlp]\n\nhiden: [8]\n")
    assert problem(["model=small"]).startswith("conf/model/small.yaml, line 3: model.hiden: model mlp has no setting 'hiden'.")


def test_a_built_in_experiment_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mistake in shopkit's own folder is placed as in anyone's."""
    import shutil

    import shopkit.config.folders as folders

    core = tmp_path / "core"
    shutil.copytree(core_folder(), core)
    monkeypatch.setattr(folders, "core_folder", lambda: core)
    path = core / "experiment" / "purchase_intent.yaml"
    path.write_text(path.read_text().replace("horizon_days: 7", "horizon_dais: 7"))
    line = next(at for at, text in enumerate(path.read_text().splitlines(), 1) if "horizon_dais" in text)
    assert problem([], "purchase_intent").startswith(
        f"{path}, line {line}: view.horizon_dais: view purchase_within has no setting 'horizon_dais'. Did you mean 'horizon_da"
    )


def test_a_plugins_component_and_experiment(install: Install) -> None:
    site = install(
        "shopkit-trees",
        model("trees") + "\n@hookimpl\ndef shopkit_config_paths():\n    import pathlib\n"
        "    return [pathlib.Path(__file__).parent / 'conf']\n",
    )
    folder = site / "conf" / "experiment"
    folder.mkdir(parents=True)
    path = folder / "forest.yaml"
    path.write_text("# @package _global_\ndefaults:\n  - override /model: trees\nmodel:\n  depth: 9\n")
    registry = load_registry()
    assert compose("forest", [], registry).model.settings.depth == 9
    assert compose(None, ["model=trees"], registry).model.settings.depth == 3
    assert problem(["model.deep=3"], "forest", registry).startswith(
        "command line: model.deep=3: model trees has no setting 'deep'."
    )
    path.write_text(path.read_text().replace("depth", "dept"))
    where = os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path
    assert problem([], "forest", registry).startswith(
        f"{where}, line 5: model.dept: model trees has no setting 'dept'. Did you mean"
    )


def test_a_sweep_is_checked_before_its_first_job() -> None:
    composer = Composer.of(load_registry(""))
    composer.compose_sweep(["model=mlp,linear", "seed=range(0,3)", "trainer.lr=0.1,0.2", "+experiment=purchase_intent"])
    with pytest.raises(ConfigError, match=r"command line: model\.dropout=7: model\.dropout is 7; it must be from 0"):
        composer.compose_sweep(["model.dropout=0.1,7", "seed=0,1"])
    with pytest.raises(ConfigError, match="There is no model 'mpl'"):
        composer.compose_sweep(["model=mlp,mpl"])
    with pytest.raises(ConfigError, match=r"command line: model\.dropout=range\(: "):
        composer.compose_sweep(["model.dropout=range("])
