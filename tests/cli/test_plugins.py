from __future__ import annotations

import re
from importlib import metadata

import pytest

from shopkit.hookspecs import API_VERSION
from tests.cli.conftest import Shopkit
from tests.plugins import Install, install, model

__all__ = ["install"]

TRACKER = """
@hookimpl
def shopkit_run_finished(run):
    print(run)
"""
BROKEN = {
    "shopkit-raises": ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
    "shopkit-misspelt": (
        "@hookimpl\ndef shopkit_modles():\n    return []\n",
        "there is no hook 'shopkit_modles'. Did you mean 'shopkit_models'?",
    ),
    "shopkit-takes": (model("mlp"), "Two plugins have a model 'mlp': shopkit "),
    "shopkit-odd": (
        "import pathlib\n@dataclass\nclass Settings:\n    where: pathlib.Path = pathlib.Path()\n" + model("odd"),
        "the field 'where' of its settings Settings has the type Path; settings are plain",
    ),
    "shopkit-newer": (f"shopkit_api_version = {API_VERSION + 1}", f"it is built for version {API_VERSION + 1} of the hook API"),
}


def test_list_shows_what_each_plugin_brings(shopkit: Shopkit, install: Install) -> None:
    install("shopkit-trees", model("trees"))
    install("shopkit-tracker", TRACKER)
    code, out, _ = shopkit("plugins", "list")
    assert code == 0
    lines = [re.split(r"\s{2,}", line) for line in out.splitlines()]
    assert lines[0] == ["Plugin", "Package", "Version", "Offers"]
    assert lines[1][:2] == ["builtins", "shopkit"]
    assert ["trees", "shopkit-trees", "1.2", "models: trees"] in lines
    assert ["tracker", "shopkit-tracker", "1.2", "hooks: run_finished"] in lines
    assert shopkit("plugins")[1] == out
    assert shopkit("plugins", "list", "shopkit-trees")[1].splitlines()[1:] == ["trees   shopkit-trees  1.2      models: trees"]


@pytest.mark.parametrize("distribution", BROKEN)
def test_a_broken_plugin_has_one_clear_message_and_the_rest_works(shopkit: Shopkit, install: Install, distribution: str) -> None:
    code, message = BROKEN[distribution]
    install(distribution, code)
    install("shopkit-wood", model("wood", "shopkit_wood:Settings"))
    status, out, err = shopkit("plugins", "list")
    assert (status, err) == (0, "")
    assert out.count(message) == 1
    assert "nothing: it failed to load" in out
    status, out, err = shopkit("list", "models")
    assert (status, err) == (0, "")
    assert out.count(message) == 1
    assert "model=wood" in out
    assert shopkit("describe", "model", "mlp")[0] == 0
    status, out, _ = shopkit("plugins", "doctor")
    assert status == 1
    assert message in out
    assert out.endswith("3 plugin(s), 1 problem(s).\n")


def test_all_broken_plugins_at_once(shopkit: Shopkit, install: Install) -> None:
    for distribution, (code, _) in BROKEN.items():
        install(distribution, code)
    out = shopkit("plugins", "list")[1]
    assert all(out.count(message) == 1 for _, message in BROKEN.values())


def test_doctor_shows_the_traceback(shopkit: Shopkit, install: Install) -> None:
    install("shopkit-raises", "import no_such_library")
    out = shopkit("plugins", "doctor", "raises")[1]
    assert "\n  Traceback (most recent call last):\n" in out
    assert out.endswith("1 plugin(s), 1 problem(s).\n")


def test_doctor_finds_targets_and_packages_that_are_missing(shopkit: Shopkit, install: Install) -> None:
    folder = install("shopkit-trees", model("trees", "no_such_package.trees:Trees"))
    with (folder / "shopkit_trees-1.2.dist-info" / "METADATA").open("a") as record:
        record.write("Requires-Dist: no-such-library>=2\nRequires-Dist: pluggy\nRequires-Dist: other; extra == 'dev'\n")
    code, out, _ = shopkit("plugins", "doctor", "shopkit-trees")
    assert code == 1
    assert out == (
        "trees (shopkit-trees 1.2) needs no-such-library>=2, not installed: pip install no-such-library>=2\n\n"
        "trees (shopkit-trees 1.2): the target of models 'trees', no_such_package.trees, is no module.\n\n"
        "1 plugin(s), 2 problem(s).\n"
    )


def test_doctor_without_problems(shopkit: Shopkit, install: Install) -> None:
    install("shopkit-trees", model("trees"))
    assert metadata.version("shopkit-trees") == "1.2"
    assert shopkit("plugins", "doctor")[:2] == (0, "2 plugin(s), no problem(s).\n")


def test_check_passes_a_plugin_that_keeps_the_laws(shopkit: Shopkit, install: Install) -> None:
    install("shopkit-tracker", TRACKER)
    code, out, _ = shopkit("plugins", "check", "shopkit-tracker")
    assert code == 0
    rows = [re.split(r"\s{2,}", line) for line in out.splitlines()]
    assert rows[0] == ["Component", "Law", "Result", "Seconds"]
    assert rows[1][:3] == ["plugin tracker", "plugin loads", "passed"]
    assert out.endswith("shopkit-tracker: 2 passed, 1 skipped.\n")


def test_check_fails_one_that_does_not(shopkit: Shopkit, install: Install) -> None:
    install("shopkit-trees", model("trees"))
    code, out, _ = shopkit("plugins", "check", "shopkit-trees")
    assert code == 1
    assert re.search(r"models trees +component target is of its family +FAILED", out)
    assert "\ntrees, check_component_target_is_of_its_family: model trees: its target shopkit_trees:Settings is not a " in out


def test_check_of_a_plugin_that_failed_to_load(shopkit: Shopkit, install: Install) -> None:
    install("shopkit-raises", "import no_such_library")
    code, out, _ = shopkit("plugins", "check", "shopkit-raises")
    assert code == 1
    assert "it did not load: ModuleNotFoundError: No module named 'no_such_library'" in out


@pytest.mark.parametrize("action", ["list", "check", "doctor"])
def test_a_plugin_that_is_not_installed(shopkit: Shopkit, install: Install, action: str) -> None:
    install("shopkit-trees", model("trees"))
    code, _, err = shopkit("plugins", action, "shopkit-tree")
    assert code == 1
    assert (
        err == "Error: No plugin 'shopkit-tree' is installed. Did you mean 'shopkit-trees'? Installed: shopkit, shopkit-trees.\n"
    )


def test_check_of_nothing_and_an_unknown_action(shopkit: Shopkit, install: Install) -> None:
    assert shopkit("plugins", "check")[2].startswith("Error: Say which plugin to check: shopkit plugins check NAME. Installed: ")
    assert shopkit("plugins", "chek")[2].startswith("Error: shopkit plugins cannot 'chek'. Did you mean 'check'? It can: list, ")
