"""What strangers get: wheels of the core and of each plugin, and generated packages, in an environment without the repository."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from shopkit.component import FAMILIES
from tests.packaging.environment import ROOT, Environment, build_wheel, make_environment

pytestmark = pytest.mark.slow

QUICK = [
    "source=example",
    "view=table",
    "view.table=visits",
    "view.target=bought",
    "view.time=at",
    "view.exclude=[basket_value]",
    "split.gap_days=0",
    "trainer.max_epochs=3",
    "evaluation.n_bootstrap=20",
    "evaluation.permutation_repeats=1",
    "evaluation.latency_seconds=0.02",
]
"""Overrides that keep an experiment to a few seconds and to data that is everywhere."""
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Distribution → its wheel."""
    into = tmp_path_factory.mktemp("wheels")
    projects = {"shopkit": ROOT, **{name: ROOT / "plugins" / name for name in PLUGINS}}
    return {name: build_wheel(project, into) for name, project in projects.items()}


@pytest.fixture
def clean(tmp_path: Path, wheels: dict[str, Path]) -> Environment:
    environment = make_environment(tmp_path / "clean")
    environment.install(str(wheels["shopkit"]))
    return environment


def components(environment: Environment, distribution: str) -> dict[str, str]:
    """Choice → summary, of a distribution, as `shopkit list` says."""
    lines = [re.split(r"\s{2,}", line) for line in environment.run("shopkit", "list").splitlines()]
    return {line[0]: line[-1] for line in lines if len(line) == 4 and line[1] == distribution}


def test_the_core_stands_alone(clean: Environment) -> None:
    where = clean.run("shopkit", "doctor", expect=0)
    assert str(ROOT) not in where
    assert "model=mlp" in components(clean, "shopkit")
    assert [*components(clean, "shopkit-gbdt")] == []
    assert "purchase_intent" in clean.run("shopkit", "run", "--help")
    clean.run("shopkit", "run", *QUICK, "model=linear")
    assert clean.run("shopkit", "plugins", "doctor").endswith("1 plugin(s), no problem(s).\n")


def histories(folder: Path) -> list[str]:
    """Lists of items in a file → what runs on them."""
    lists = [[(row + step) % 12 for step in range(3 + row % 5)] for row in range(80)]
    pd.DataFrame({"items": lists}).to_parquet(folder / "sequences.parquet")
    return ["+experiment=next_item_sequences", f"source.path={folder / 'sequences.parquet'}", "model=item_knn"]


def photographs(folder: Path) -> list[str]:
    """Images of two classes in a folder → what runs on them."""
    for number in range(60):
        path = folder / "photos" / ("dark", "light")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 12), number if number % 2 == 0 else 255 - number).save(path)
    own = ["source=image_folder", f"source.path={folder / 'photos'}", "view.keys=[file]", "split=stratified"]
    return ["+experiment=product_image", *own, "model.widths=[8]", "trainer.max_epochs=1", "evaluation.cases=0"]


OWN_DATA = {"shopkit-recommend": histories, "shopkit-vision": photographs}
"""Plugins whose experiments want other data than the quick run makes → what makes it."""
FAST = ["evaluation.baselines=[]", "evaluation.n_bootstrap=20", "evaluation.latency_seconds=0.02"]


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_comes_and_goes(clean: Environment, wheels: dict[str, Path], name: str) -> None:
    project = tomllib.loads((ROOT / "plugins" / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    before = clean.run("shopkit", "list")
    clean.install(str(wheels[name]))

    listed = clean.run("shopkit", "plugins", "list", name)
    assert re.search(rf"{name} +{re.escape(project['version'])} +\w", listed)
    for choice, summary in components(clean, name).items():
        group, _, component = choice.replace("features: ", "features=").partition("=")
        assert summary in clean.run("shopkit", "describe", group, component)

    experiments = re.search(r"experiments: (.*)", listed)
    own = [f"+experiment={experiments[1].split(', ')[0]}"] if experiments else ["model=linear"]
    clean.run("shopkit", "run", *([*OWN_DATA[name](clean.here), *FAST] if name in OWN_DATA else [*own, *QUICK]))
    assert len(list(clean.here.glob("runs/*/*/model.onnx"))) == 1

    assert re.search(rf"{name}: \d+ passed", clean.run("shopkit", "plugins", "check", name))
    clean.uninstall(name)
    assert clean.run("shopkit", "list") == before


@pytest.mark.parametrize("family", FAMILIES)
def test_a_generated_plugin_installs_and_passes_its_own_tests(clean: Environment, family: str) -> None:
    clean.run("shopkit", "new", "plugin", f"new-{family}", "--family", family)
    package = clean.here / f"shopkit-new-{family}"
    clean.install("--editable", str(package))
    assert [choice.endswith(f"new_{family}") for choice in components(clean, package.name)] == [True]
    clean.run("shopkit", "run", f"+experiment=new_{family}")
    clean.run("pytest", "-q", "-p", "no:cacheprovider", cwd=package)
    assert re.search(rf"{package.name}: \d+ passed", clean.run("shopkit", "plugins", "check", package.name))
    clean.uninstall(package.name)
    assert components(clean, package.name) == {}


@pytest.mark.parametrize("name", [*PLUGINS, "generated"])
def test_a_wheel_holds_all_its_files(wheels: dict[str, Path], clean: Environment, tmp_path: Path, name: str) -> None:
    if name == "generated":
        clean.run("shopkit", "new", "plugin", "made", "--family", "sources")
        package = clean.here / "shopkit-made"
        wheel = build_wheel(package, tmp_path)
    else:
        package, wheel = ROOT / "plugins" / name, wheels[name]
    clean.install(str(wheel))
    module = name.replace("-", "_") if name != "generated" else "shopkit_made"
    files = clean.run("pip", "show", "--files", package.name)
    for path in (package / module).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert f"  {path.relative_to(package)}\n" in files
