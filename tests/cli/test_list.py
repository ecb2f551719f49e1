from __future__ import annotations

import pytest

from tests.cli.conftest import Shopkit
from tests.plugins import Install, install, model

__all__ = ["install"]


def test_every_component_with_its_package_and_version(shopkit: Shopkit, install: Install) -> None:
    install("shopkit-trees", model("trees"))
    code, out, _ = shopkit("list")
    assert code == 0
    lines = [line.split(maxsplit=3) for line in out.splitlines()]
    assert lines[0] == ["Choose", "Package", "Version", "What it is"]
    assert ["model=trees", "shopkit-trees", "1.2", "A trees of its own"] in lines
    assert any(line[0] == "split=time" for line in lines)
    assert "\x1b" not in out


@pytest.mark.parametrize("family", ["models", "model"])
def test_one_family(shopkit: Shopkit, family: str) -> None:
    _, out, _ = shopkit("list", family)
    assert {line.split("=")[0] for line in out.splitlines()[1:]} == {"model"}


def test_failed_plugins_stand_below(shopkit: Shopkit, install: Install) -> None:
    install("shopkit-broken", "import no_such_library")
    code, out, _ = shopkit("list", "models")
    assert code == 0
    assert out.endswith(
        "\nPlugins that failed to load (shopkit plugins doctor shows where):\n"
        "  broken (shopkit-broken 1.2): ModuleNotFoundError: No module named 'no_such_library'\n"
    )


def test_unknown_family_and_argument(shopkit: Shopkit) -> None:
    assert shopkit("list", "modles")[2].startswith("Error: There is no family 'modles'. Did you mean 'models'?")
    code, _, err = shopkit("list", "--hepl")
    assert code == 2
    assert err == "Error: shopkit list does not know '--hepl'. Did you mean '--help'?\nusage: shopkit list [-h] [family]\n"


def test_on_a_terminal_the_table_is_drawn(shopkit: Shopkit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopkit.cli.console.is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    _, out, _ = shopkit("list", "models")
    assert "───" in out
    assert "model=mlp" in out


def test_on_a_narrow_terminal_nothing_is_cut_off(shopkit: Shopkit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopkit.cli.console.is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    _, out, _ = shopkit("list", "models")
    assert "…" not in out
