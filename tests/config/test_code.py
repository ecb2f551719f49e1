"""No configuration reaches code: neither by name, nor by a resolver, nor through Hydra's own settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from shopkit.cli import main
from shopkit.config import Composer, compose
from shopkit.config.code import refuse_code
from shopkit.config.experiment import SECTIONS
from shopkit.config.screen import component_groups
from shopkit.errors import ConfigError
from shopkit.registry import load_registry

GROUPS = sorted({*component_groups(load_registry("")), *SECTIONS})
REFUSED = "`_target_` is refused: a configuration chooses among installed components"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOPKIT_PLUGINS", "")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, text: str) -> None:
    file = Path("conf", path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def problem(*overrides: str) -> str:
    with pytest.raises(ConfigError) as raised:
        compose(None, overrides)
    return str(raised.value)


@pytest.mark.parametrize("group", GROUPS)
def test_a_target_in_an_option_of_any_group(group: str) -> None:
    write(f"{group}/evil.yaml", "_target_: os.system\ncommand: touch owned\n")
    assert REFUSED in problem(f"{group}=evil")


@pytest.mark.parametrize("group", GROUPS)
def test_a_target_on_the_command_line_and_in_an_experiment(group: str) -> None:
    assert problem(f"{group}.x._target_=os.system").startswith(f"command line: {group}.x._target_=os.system: {REFUSED}")
    write("experiment/evil.yaml", f"# @package _global_\n{group}:\n  inner: [{{_target_: os.system}}]\n")
    assert f"{group}.inner[0]._target_: {REFUSED}" in problem("experiment=evil")


@pytest.mark.parametrize("place", ["launcher", "sweeper", "callbacks.mine", "job_logging.handlers.mine"])
def test_a_target_in_hydras_own_settings(place: str) -> None:
    *around, last = ["hydra", *place.split(".")]
    inner = f"{{{last}: {{_target_: os.system}}}}"
    for key in reversed(around[1:]):
        inner = f"{{{key}: {inner}}}"
    write("experiment/evil.yaml", f"# @package _global_\nhydra: {inner}\n")
    assert f"hydra.{place}._target_: {REFUSED}" in problem("experiment=evil")


def test_a_group_of_hydras_that_the_user_wrote() -> None:
    write("hydra/launcher/evil.yaml", "_target_: os.system\n")
    assert REFUSED in problem("hydra/launcher=evil")
    write("hydra/job_logging/evil.yaml", "version: 1\nhandlers: {x: {(): os.system}}\n")
    assert "'os.system' is refused: log handlers and formatters are those of Python's `logging`" in problem(
        "hydra/job_logging=evil"
    )


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"hydra": {"job_logging": {"handlers": {"x": {"class": "mine.Handler"}}}}}, "'mine.Handler' is refused"),
        ({"hydra": {"job_logging": {"handlers": {"x": {"stream": "ext://os.environ"}}}}}, "'ext://os.environ' is refused"),
        ({"hydra": {"sweeper": {"custom_search_space": "mine.space"}}}, "it names a function"),
        ({"hydra": {"sweeper": {"sampler": {"_target_": "os.system"}}}}, REFUSED),
        ({"hydra": {"searchpath": ["pkg://mine"]}}, "searching a package imports it"),
        ({"hydra": {"job_logging": {"formatters": {"x": {"class": "logging.os.popen"}}}}}, "'logging.os.popen' is refused"),
        (
            {"hydra": {"hydra_logging": {"handlers": {"x": {"class": "logging.config.DictConfigurator"}}}}},
            "is refused: log handlers",
        ),
        ({"hydra": {"job_logging": {"handlers": {"x": {"class": "logging.LogRecord"}}}}}, "is refused: log handlers"),
        ({"hydra": {"job_logging": "${source.units}"}}, "only a log's `filename` may point to other settings"),
        ({"hydra": {"job_logging": {"handlers": {"x": {"stream": "${name}"}}}}}, "only a log's `filename` may point"),
        ({"hydra": {"job": {"env_set": {"JAVA_HOME": "./evil"}}}}, "environment variables choose what Python, Java"),
        ({"hydra": {"job": {"env_set": "${source.units}"}}}, "environment variables choose what Python, Java"),
        ({"hydra": {"job": {"env_copy": ["AWS_SECRET_ACCESS_KEY"]}}}, "Set them where shopkit is started"),
        ({"hydra": {"sweeper": {"params": {"+hydra.job.env_set.A": "1"}}}}, "Hydra's own settings are not swept"),
    ],
)
def test_hydras_settings_that_name_code(config: dict[str, object], said: str) -> None:
    found = refuse_code(config)
    assert found is not None
    assert said in found[1]


def test_hydras_own_plugins_are_let_through() -> None:
    optuna = {"_target_": "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper"}
    sampler = {"_target_": "optuna.samplers.TPESampler"}
    plain = {"handlers": {"x": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}}}
    assert refuse_code({"hydra": {"sweeper": {**optuna, "sampler": sampler}, "job_logging": plain}}) is None
    compose(None, ["hydra/job_logging=default"])


def test_log_handlers_of_python_are_let_through() -> None:
    rotating = {"class": "logging.handlers.RotatingFileHandler", "filename": "${hydra.runtime.output_dir}/log"}
    plain = {"formatters": {"x": {"class": "logging.Formatter"}}, "handlers": {"x": rotating}}
    assert refuse_code({"hydra": {"job_logging": plain, "job": {"env_set": {}, "env_copy": []}}}) is None


ENVIRONMENT = "# @package _global_\nhydra: {job: {env_set: {PYTHONPATH: ./evil}}}\n"


def test_code_in_a_file_that_only_a_sweep_chooses() -> None:
    write("experiment/evil.yaml", ENVIRONMENT)
    write("experiment/good.yaml", "# @package _global_\nname: good\n")
    write("model/evil.yaml", ENVIRONMENT)
    write("experiment/sweep.yaml", "# @package _global_\nhydra: {sweeper: {params: {model: 'mlp,evil'}}}\n")
    for typed in ("experiment=good,evil", "experiment=glob(*)", "experiment=sweep"):
        with pytest.raises(ConfigError, match=r"hydra\.job\.env_set: is refused"):
            Composer.of(load_registry()).compose_sweep([typed, "seed=1,2"])


def test_showing_a_configuration_sets_up_no_logging_of_its(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "{version: 1, root: {level: INFO}, formatters: {x: {class: logging.os.popen, format: touch owned}}}"
    write("experiment/evil.yaml", f"# @package _global_\nhydra: {{hydra_logging: {evil}}}\n")
    assert main(["run", "--info", "config", "+experiment=evil"]) == 2
    assert "'logging.os.popen' is refused: log handlers" in capsys.readouterr().err
    assert not Path("owned").exists()


def test_yaml_that_makes_objects() -> None:
    write("experiment/evil.yaml", "# @package _global_\nname: !!python/object/apply:os.system ['touch owned']\n")
    assert "could not determine a constructor" in problem("experiment=evil")
    assert not Path("owned").exists()


@pytest.mark.parametrize("name", ["mine", "os.system", "oc.${name}", "eval"])
def test_a_resolver_that_is_not_known(name: str) -> None:
    assert "is refused; these are known to run nothing: hydra, now, oc.create" in problem(f"source.path='a${{{name}:x}}'")
    write("experiment/evil.yaml", f"# @package _global_\nname: ${{{name}:x}}\n")
    assert "is refused; these are known" in problem("experiment=evil")


def test_a_resolver_is_refused_before_it_runs() -> None:
    from omegaconf import OmegaConf

    called = []
    OmegaConf.register_new_resolver("spy", lambda: called.append(1))
    try:
        assert "the resolver 'spy' is refused" in problem("name=${spy:}")
    finally:
        OmegaConf.clear_resolver("spy")
    assert not called


def test_the_environment_may_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", "berlin")
    assert compose(None, ["name=${oc.env:SHOP}"]).name == "berlin"


def test_search_paths_in_packages(tmp_path: Path) -> None:
    assert "searching a package imports it" in problem("hydra.searchpath=[pkg://mine]")
    write("config.yaml", "hydra:\n  searchpath:\n    - pkg://mine\n")
    with pytest.raises(ConfigError, match=r"config\.yaml, line 3: a search path `pkg://…` is refused"):
        Composer.of(load_registry()).compose([])
