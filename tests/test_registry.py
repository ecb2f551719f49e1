from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from shopkit import __version__
from shopkit.component import FAMILIES
from shopkit.config import compose
from shopkit.errors import ConfigError, PluginError
from shopkit.hookspecs import API_VERSION
from shopkit.registry import FIRST_PARTY, Choice, load_registry
from tests.plugins import Install, install, model

__all__ = ["install"]


def test_builtins_come_in_by_the_door() -> None:
    registry = load_registry("")
    assert set(registry.families) == {*FAMILIES, "split"}
    found = registry.find("models", "mlp")
    assert (found.plugin, found.distribution) == ("builtins", "shopkit")
    assert registry.get("model", "mlp") is found.component


def test_a_plugin_is_found_with_its_distribution_and_version(install: Install) -> None:
    install("shopkit-trees", model("trees"))
    registry = load_registry()
    found = registry.find("models", "trees")
    assert (found.plugin, found.distribution, found.version) == ("trees", "shopkit-trees", "1.2")
    assert [entry.component.name for entry in registry.components("models")][-1] == "trees"
    assert not registry.failures


def test_each_registry_is_its_own(install: Install) -> None:
    install("shopkit-trees", model("trees"))
    assert "trees" in load_registry().families["models"]
    assert "trees" not in load_registry("").families["models"]


def test_choice_builds_checked_settings_and_build_constructs(install: Install) -> None:
    install(
        "shopkit-trees",
        model("trees", "shopkit_trees:Trees") + "\nclass Trees:\n    def __init__(self, *given): self.given = given\n",
    )
    registry = load_registry()
    choice = registry.choice("model", {"name": "trees", "depth": 5})
    assert (choice.family, choice.name, choice.settings.depth) == ("models", "trees", 5)
    assert registry.build(choice, "features", 2).given == (choice.settings, "features", 2)
    assert registry.choice("models", "trees").settings.depth == 3


def test_choice_without_a_name() -> None:
    with pytest.raises(ConfigError, match=r"features\.columns\.x has no name: write a component's name"):
        load_registry("").choice("features", {"n_bins": 3}, "features.columns.x")


def test_choice_refuses_a_misspelt_setting() -> None:
    with pytest.raises(ConfigError, match=r"x\.n_bin: extractor bucketize has no setting 'n_bin'\. Did you mean 'n_bins'\?"):
        load_registry("").choice("features", {"name": "bucketize", "n_bin": 3}, "x")


def test_unknown_family() -> None:
    with pytest.raises(ConfigError, match=r"There is no family 'modles'\. Did you mean 'models'\? Families: sources, views,"):
        load_registry("").components("modles")


def test_unknown_component_names_the_nearest_and_all() -> None:
    with pytest.raises(ConfigError, match=r"There is no model 'mpl'\. Did you mean 'mlp'\? Models: bert, linear, lstm, mlp\.$"):
        load_registry("").get("models", "mpl")


def test_unknown_component_of_a_first_party_plugin_has_its_install_hint() -> None:
    with pytest.raises(ConfigError, match="'gbdt' comes with shopkit-gbdt: pip install shopkit-gbdt"):
        load_registry("").get("models", "gbdt")


def test_the_hints_name_plugins_that_there_are() -> None:
    plugins = Path(__file__).parents[1] / "plugins"
    for known in FIRST_PARTY.values():
        for name, package in known.items():
            sources = [path.read_text(encoding="utf-8") for path in (plugins / package).rglob("*.py")]
            assert any(f'"{name}"' in text for text in sources)


def test_a_plugin_that_fails_to_import_breaks_nothing_but_the_run_that_needs_it(install: Install) -> None:
    install("shopkit-broken", "import no_such_library")
    install("shopkit-trees", model("trees"))
    registry = load_registry()
    assert "trees" in registry.families["models"]
    (failure,) = registry.failures
    assert (failure.plugin, failure.distribution, failure.version) == ("broken", "shopkit-broken", "1.2")
    assert failure.problem == "ModuleNotFoundError: No module named 'no_such_library'"
    assert "Traceback" in failure.traceback
    with pytest.raises(
        ConfigError, match=r"A plugin failed to load and may have it: broken \(shopkit-broken 1\.2\): ModuleNotFound"
    ):
        registry.get("models", "wanted")


def test_a_plugin_that_exits_while_loading_is_a_failure(install: Install) -> None:
    install("shopkit-broken", "raise SystemExit(3)")
    assert load_registry().failures[0].problem == "SystemExit: 3"


@pytest.mark.parametrize("error", ["RuntimeError('x')", "SystemExit(3)"])
def test_a_package_that_raises_around_its_hook_module(install: Install, error: str) -> None:
    folder = install("shopkit-broken", "")
    (folder / "shopkit_around").mkdir()
    (folder / "shopkit_around" / "__init__.py").write_text(f"raise {error}")
    (folder / "shopkit_broken-1.2.dist-info" / "entry_points.txt").write_text("[shopkit]\nbroken = shopkit_around.hooks\n")
    (failure,) = load_registry().failures
    assert failure.problem.partition(":")[0] == error.partition("(")[0]


def test_a_hook_that_raises_is_a_failure(install: Install) -> None:
    install("shopkit-broken", "@hookimpl\ndef shopkit_models():\n    raise KeyError('x')\n")
    assert load_registry().failures[0].problem == "KeyError: 'x'"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("@hookimpl\ndef shopkit_models():\n    return ['mlp']\n", "shopkit_models must return Components, got str."),
        (model("Trees"), "model 'Trees': a component's name is lower-case letters, digits and underscores."),
        (model("trees", "shopkit_trees"), "model 'trees': its target 'shopkit_trees' must read 'package.module:Class'."),
        (
            "class Settings:\n    depth: int = 3\n" + model("trees"),
            "model 'trees': its settings Settings must be a dataclass.",
        ),
        (
            "import pathlib\n@dataclass\nclass Settings:\n    where: pathlib.Path = pathlib.Path()\n" + model("trees"),
            "model 'trees': the field 'where' of its settings Settings has the type Path; settings are plain: bool, int, float, "
            "str, Literal, None, list[…], tuple[…, ...], dict[str, …] or a nested dataclass.",
        ),
        (
            "@dataclass\nclass Settings:\n    where: 'Nowhere' = 3\n" + model("trees"),
            "model 'trees': a type in its settings Settings cannot be resolved: name 'Nowhere' is not defined.",
        ),
        (
            "@dataclass\nclass Settings:\n    name: str = ''\n" + model("trees"),
            "model 'trees': its settings Settings must not have a field 'name': that key names it.",
        ),
        (
            "@hookimpl\ndef shopkit_config_paths():\n    return ['/no/such/folder']\n",
            "shopkit_config_paths names the folder /no/such/folder, which does not exist.",
        ),
    ],
)
def test_a_plugin_that_breaks_a_rule_is_listed_and_the_rest_works(install: Install, code: str, problem: str) -> None:
    install("shopkit-broken", code)
    registry = load_registry()
    assert [failure.problem for failure in registry.failures] == [problem]
    assert "trees" not in registry.families["models"]
    assert "mlp" in registry.families["models"]


def test_a_misspelt_hook(install: Install) -> None:
    install("shopkit-trees", model("trees").replace("shopkit_models", "shopkit_modles"))
    install("shopkit-wood", model("wood"))
    registry = load_registry()
    (failure,) = registry.failures
    assert str(failure).startswith(
        "trees (shopkit-trees 1.2): there is no hook 'shopkit_modles'. Did you mean 'shopkit_models'? Hooks: "
    )
    assert failure.problem.endswith("shopkit_config_paths, shopkit_configured, shopkit_run_started, shopkit_run_finished.")
    assert "wood" in registry.families["models"]


def test_a_hook_with_arguments_it_does_not_have(install: Install) -> None:
    install("shopkit-trees", "seen = []\n@hookimpl\ndef shopkit_run_started(runs):\n    seen.append(runs)\n")
    registry = load_registry()
    assert "runs" in registry.failures[0].problem
    registry.hook.shopkit_run_started(run="a run")
    assert sys.modules["shopkit_trees"].seen == []


def test_two_plugins_with_one_name(install: Install) -> None:
    install("shopkit-trees", model("trees"))
    install("shopkit-wood", model("trees"), version="0.3")
    registry = load_registry()
    expected = r"^Two plugins have a model 'trees': shopkit-trees 1\.2 \(trees\) and shopkit-wood 0\.3 \(wood\)\. Uninstall one"
    with pytest.raises(ConfigError, match=expected):
        registry.get("model", "trees")
    assert [failure.distribution for failure in registry.failures] == ["shopkit-wood"]
    assert registry.get("model", "mlp").name == "mlp"
    assert load_registry("shopkit-wood").get("model", "trees").name == "trees"


def test_a_plugin_cannot_take_the_name_of_a_builtin(install: Install) -> None:
    install("shopkit-trees", model("mlp"))
    registry = load_registry()
    assert re.match(r"Two plugins have a model 'mlp': shopkit .* and shopkit-trees 1\.2", registry.failures[0].problem)
    assert registry.find("model", "mlp").distribution == "shopkit"


def test_a_plugin_that_comes_twice(install: Install) -> None:
    folder = install("shopkit-trees", model("trees"))
    (folder / "shopkit_trees-1.2.dist-info" / "entry_points.txt").write_text("[shopkit]\na = shopkit_trees\nb = shopkit_trees\n")
    assert [failure.plugin for failure in load_registry().failures] == ["b"]


def test_this_version_of_the_hooks(install: Install) -> None:
    install("shopkit-trees", f"shopkit_api_version = {API_VERSION}" + model("trees"))
    assert "trees" in load_registry().families["models"]


@pytest.mark.parametrize("broken", ["", "import no_such_library\n"])
@pytest.mark.parametrize(
    ("version", "advice"),
    [
        (API_VERSION - 1, "Install a newer version of the plugin."),
        (API_VERSION + 1, "Install a newer shopkit, or an older version of the plugin."),
    ],
)
def test_another_version_of_the_hooks(install: Install, version: int, advice: str, broken: str) -> None:
    install("shopkit-trees", broken + f"shopkit_api_version = {version}" + model("trees"))
    registry = load_registry()
    (failure,) = registry.failures
    assert failure.problem == (
        f"it is built for version {version} of the hook API, and shopkit {__version__} has version {API_VERSION}. {advice}"
    )
    assert registry.families["models"].keys() == {"bert", "linear", "lstm", "mlp"}


def test_a_heavy_hook_module_is_noted(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    install("shopkit-trees", "import sys\nsys.modules['sklearn'] = sys\n" + model("trees"))
    registry = load_registry()
    del sys.modules["sklearn"]  # not by monkeypatch, which would bring it back
    assert "trees" in registry.families["models"]
    assert registry.notes == (
        "trees (shopkit-trees 1.2): importing shopkit_trees also imports sklearn, which slows every command. "
        "Import it in the component's own module.",
    )


def test_the_environment_restricts_what_loads(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("shopkit-trees", model("trees"))
    install("shopkit-wood", model("wood"))
    monkeypatch.setenv("SHOPKIT_PLUGINS", "wood, shopkit-trees")
    assert {"trees", "wood"} <= set(load_registry().families["models"])
    monkeypatch.setenv("SHOPKIT_PLUGINS", "shopkit-wood")
    assert "trees" not in load_registry().families["models"]
    monkeypatch.setenv("SHOPKIT_PLUGINS", "")
    assert set(load_registry().families["models"]) == {"bert", "linear", "lstm", "mlp"}
    monkeypatch.setenv("SHOPKIT_PLUGINS", "tree")
    with pytest.raises(
        PluginError, match=r"SHOPKIT_PLUGINS names 'tree', which is not installed\. Did you mean 'trees'\? Plugins: "
    ):
        load_registry()


def test_a_plugin_refuses_settings_that_do_not_go_together(install: Install) -> None:
    hook = "from shopkit.errors import ConfigError\n@hookimpl\ndef shopkit_configured(config):\n"
    code = "    if config['model']['name'] == 'mlp' and config['seed'] == 7:\n        raise ConfigError('not seven')\n"
    install("shopkit-trees", hook + code)
    registry = load_registry()
    assert compose("purchase_intent", ["model=mlp"], registry).model.name == "mlp"
    with pytest.raises(ConfigError, match="not seven"):
        compose("purchase_intent", ["model=mlp", "seed=7"], registry)


def test_life_cycle_hooks_reach_plugins(install: Install, tmp_path: Path) -> None:
    install("shopkit-trees", "seen = []\n@hookimpl\ndef shopkit_run_started(run):\n    seen.append(run)\n")
    load_registry().hook.shopkit_run_started(run="a run")
    assert sys.modules["shopkit_trees"].seen == ["a run"]


def test_a_target_that_cannot_be_imported(install: Install) -> None:
    install("shopkit-trees", model("trees", "no_such_module:Trees"))
    registry = load_registry()
    expected = r"The model 'trees' of shopkit-trees 1\.2 cannot be used: importing no_such_module failed with ModuleNotFoundError"
    with pytest.raises(PluginError, match=expected):
        registry.build(registry.choice("models", "trees"))


def test_a_target_that_lacks_its_class(install: Install) -> None:
    install("shopkit-trees", model("trees", "shopkit_trees:Tres") + "\nclass Trees: pass\n")
    registry = load_registry()
    with pytest.raises(PluginError, match=r"cannot be used: shopkit_trees has no class 'Tres'\. Did you mean 'Trees'\?"):
        registry.build(registry.choice("models", "trees"))


def test_a_builtin_whose_library_is_missing_says_which_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = load_registry("")
    module = registry.get("models", "mlp").target.partition(":")[0]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PluginError, match=r'Training needs: pip install "shopkit\[train,cpu\]"'):
        registry.build(Choice("models", "mlp", None))
