"""The three ways to run the suite, known failures, and plugins as a whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from shopkit.errors import ConfigError, PluginError
from shopkit.registry import load_registry
from shopkit.testing import Result, cases, check_distribution, checks_for, conformance
from shopkit.testing.checks import checks_in
from tests.plugins import Install, install  # noqa: F401

TOY = """
@hookimpl
def shopkit_sources():
    return [Component("toy", Settings, "shopkit_toy_source:ToySource", "A toy")]
"""
SOURCE = """
import pandas as pd
from shopkit.sources.dataframe import DataFrameSource
from shopkit.sources.settings import DataFrameSettings

class ToySource(DataFrameSource):
    '''Two rows.'''

    @classmethod
    def example(cls, settings, folder):
        return cls(DataFrameSettings(), pd.DataFrame({"n": [1, 2]}))

    @classmethod
    def empty_example(cls, settings, folder):
        return cls(DataFrameSettings(), pd.DataFrame({"n": [1, 2]}))
"""
FAILS = "check_sources_refuse_empty_data"


@pytest.fixture
def toy(install: Install) -> Path:  # noqa: F811
    """A plugin with one source, whose empty example is not empty; the folder it is installed in."""
    folder = install("shopkit-toy", TOY)
    (folder / "shopkit_toy_source.py").write_text(SOURCE, encoding="utf-8")
    yield folder  # type: ignore[misc]
    sys.modules.pop("shopkit_toy_source", None)


def failures(results: list[Result]) -> list[str]:
    return [result.check for result in results if not result.ok]


def test_a_distribution_is_checked_as_data(toy: Path) -> None:
    seen: list[Result] = []
    results = check_distribution("shopkit-toy", on_result=seen.append)
    assert seen == results
    assert failures(results) == [FAILS]
    assert {result.component for result in results} == {"toy"}
    names = [check.name for check in (*checks_in("plugins"), *checks_for("sources"))]
    assert [result.check for result in results] == names
    failed = next(result for result in results if not result.ok)
    assert failed.message.startswith("source toy: a source without rows must be refused with a ShopkitError")
    assert failed.law.startswith("Data without rows are refused")
    assert all(result.seconds >= 0 for result in results)


@pytest.mark.parametrize("key", [FAILS, f"toy:{FAILS}"])
def test_a_known_failure_is_no_failure(toy: Path, key: str) -> None:
    results = check_distribution("shopkit-toy", known_failures={key: "it has no empty state"})
    assert failures(results) == []
    assert [(r.check, r.message) for r in results if r.status == "known failure"] == [(FAILS, "it has no empty state")]


def test_a_component_declares_what_it_cannot_keep(install: Install) -> None:  # noqa: F811
    declared = TOY.replace('"A toy")', f'"A toy", known_failures={{"{FAILS}": "it has no empty state"}})')
    folder = install("shopkit-toy", declared)
    (folder / "shopkit_toy_source.py").write_text(SOURCE, encoding="utf-8")
    results = check_distribution("shopkit-toy")
    assert failures(results) == []
    assert [(r.check, r.message) for r in results if r.status == "known failure"] == [(FAILS, "it has no empty state")]
    sys.modules.pop("shopkit_toy_source", None)


def test_a_known_failure_that_passes_is_an_error(toy: Path) -> None:
    results = check_distribution("toy", known_failures={FAILS: "so", "check_sources_are_lazy": "it once was not"})
    (wrong,) = [result for result in results if not result.ok]
    assert wrong.status == "unexpected pass"
    assert wrong.message == "Known to fail (it once was not), but it passed: take it off the list."


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"known_failures": {"check_source_are_lazy": "so"}}, ConfigError, r"'check_source_are_lazy', which is no check here"),
        ({"known_failures": {FAILS: " "}}, ConfigError, rf"'{FAILS}' has no reason; say why it fails"),
        (
            {"settings": {"tray": {"depth": 1}}},
            ConfigError,
            r"settings name the component 'tray', which shopkit-toy does not have",
        ),
    ],
)
def test_what_does_not_exist_is_named(toy: Path, arguments: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        cases("shopkit-toy", **arguments)


def test_a_plugin_that_is_not_installed_is_named(toy: Path) -> None:
    with pytest.raises(PluginError, match=r"No plugin 'shopkit-toi' is installed\. Did you mean 'shopkit-toy'\? Installed: "):
        cases("shopkit-toi")


def test_settings_can_be_made_quick(toy: Path) -> None:
    case = next(case for case in cases("shopkit-toy", settings={"toy": {"depth": 1}}) if case.family == "sources")
    assert case.examined(toy).settings().depth == 1  # type: ignore[union-attr]


def test_a_component_says_what_it_is_tried_with(install: Install) -> None:  # noqa: F811
    folder = install("shopkit-toy", TOY.replace('"A toy")', '"A toy", tried_with={"depth": 2})'))
    (folder / "shopkit_toy_source.py").write_text(SOURCE, encoding="utf-8")
    found = [next(case for case in cases("shopkit-toy", settings=changed) if case.family == "sources")
             for changed in ({}, {"toy": {"depth": 1}})]  # fmt: skip
    assert [case.examined(folder).settings().depth for case in found] == [2, 1]  # type: ignore[union-attr]
    sys.modules.pop("shopkit_toy_source", None)


def test_known_failures_are_strict_in_pytest(toy: Path) -> None:
    function = conformance("shopkit-toy", known_failures={FAILS: "it has no empty state"})
    (parametrize,) = function.pytestmark  # type: ignore[attr-defined]
    (marked,) = [parameter for parameter in parametrize.args[1] if parameter.marks]
    assert marked.id == f"sources-toy-{FAILS}"
    assert marked.marks[0].kwargs == {"reason": "it has no empty state", "strict": True, "raises": AssertionError}


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "shopkit.testing.pytest_plugin", "-p", "no:cacheprovider", "-rA"]
    return subprocess.run([*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_one_line_in_a_plugins_tests(toy: Path) -> None:
    line = f"test_conformance = conformance('shopkit-toy', known_failures={{'{FAILS}': 'it has no empty state'}})"
    (toy / "test_toy.py").write_text(f"from shopkit.testing import conformance\n{line}\n", encoding="utf-8")
    ran = run_pytest(toy, "test_toy.py")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 xfailed" in ran.stdout
    assert "test_toy.py::test_conformance[sources-toy-check_sources_are_lazy]" in ran.stdout


def test_the_pytest_plugin_needs_no_line(toy: Path) -> None:
    (toy / "test_other.py").write_text("def test_other():\n    raise AssertionError('collected')\n", encoding="utf-8")
    ran = run_pytest(toy, "--shopkit-plugin", "shopkit-toy")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "1 failed, " in ran.stdout
    assert "source toy: a source without rows must be refused with a ShopkitError" in ran.stdout
    assert "test_other" not in ran.stdout
    unknown = run_pytest(toy, "--shopkit-plugin", "shopkit-toi")
    assert "No plugin 'shopkit-toi' is installed. Did you mean 'shopkit-toy'?" in unknown.stdout + unknown.stderr
    assert unknown.returncode == pytest.ExitCode.USAGE_ERROR


def test_the_pytest_plugin_loads_nothing_heavy() -> None:
    code = "import sys, shopkit.testing.pytest_plugin; print({'torch', 'ibis', 'pandas', 'numpy', 'hydra'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# -- plugins as a whole ---------------------------------------------------------------------------------------------


def test_a_plugin_that_raises_fails_one_check(install: Install) -> None:  # noqa: F811
    install("shopkit-torn", "raise RuntimeError('no licence file')")
    results = check_distribution("shopkit-torn", registry=load_registry())
    assert failures(results)[0] == "check_plugin_loads"
    assert "plugin torn (shopkit-torn 1.2): it did not load: RuntimeError: no licence file" in results[0].message


def test_a_hook_module_that_imports_pandas_fails(install: Install) -> None:  # noqa: F811
    install("shopkit-heavy", "import pandas", header="from shopkit.hookspecs import hookimpl\n")
    (wrong,) = [result for result in check_distribution("shopkit-heavy") if not result.ok]
    assert wrong.check == "check_plugin_hooks_import_nothing_heavy"
    said = "plugin heavy (shopkit-heavy 1.2): importing its hook module shopkit_heavy also imports pandas"
    assert wrong.message.startswith(said)


CONF = """
from pathlib import Path

@hookimpl
def shopkit_config_paths():
    return [Path(__file__).parent / "conf"]
"""
COMMAND = "# shopkit search +experiment=purchase_intent hparams_search=mine n_trials=20"
SPACE = "overrides: [model=linear]\nspace:\n  model.l2: {low: 0.1, high: 10.0}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{COMMAND}\n# Mine.\n{SPACE}", ""),
        (
            f"{COMMAND}\n# Mine.\n{SPACE.replace('l2', 'l3')}",
            "mine.yaml tries what is no setting: .*model linear has no setting 'l3'",
        ),
        (f"{COMMAND}\n# Mine.\n{SPACE.replace('0.1', '-0.1')}", "mine.yaml tries what is no setting: .*l2"),
        (f"{COMMAND}\n{SPACE}", "mine.yaml: its second line says what is tried"),
        (SPACE, "mine.yaml: its first line is the command that runs it, `# shopkit search .experiment=<one> hparams_search=mine"),
    ],
)
def test_the_searches_of_a_plugin_compose(install: Install, text: str, said: str) -> None:  # noqa: F811
    folder = install("shopkit-tried", CONF) / "conf" / "hparams_search"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    (found,) = [one for one in check_distribution("shopkit-tried") if one.check == "check_plugin_searches_compose"]
    assert found.status == ("failed" if said else "passed")
    assert re.search(said, found.message), found.message


def test_a_plugin_without_searches_is_not_asked_for_them(toy: Path) -> None:
    (found,) = [one for one in check_distribution("shopkit-toy") if one.check == "check_plugin_searches_compose"]
    assert (found.status, found.message) == ("skipped", "it brings no searches")


def test_tags_choose_the_checks() -> None:
    def names(*tags: str) -> set[str]:
        return {check.name for check in checks_for("models", frozenset(tags))}

    assert names() - names("estimator") == {
        "check_models_gradient_steps_lower_the_loss",
        "check_models_training_scores_fit_the_loss",
        "check_models_move_between_types_and_devices",
        "check_models_state_round_trip",
    }
    assert names("estimator") - names() == {
        "check_estimators_learn",
        "check_estimators_count_weights",
        "check_estimators_state_round_trip",
    }
