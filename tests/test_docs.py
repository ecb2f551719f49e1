"""The pages made from the code are those in `docs/`, and the site's sources hold together."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["reference", "gallery"])
def test_pages_are_up_to_date(generate: ModuleType, page: str) -> None:
    written = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert written == getattr(generate, page)(), "run python docs/generate.py"


def test_the_reference_has_every_hook_component_and_experiment(generate: ModuleType) -> None:
    from shopkit.builtins import CORE
    from shopkit.registry import load_registry

    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    for family, components in load_registry("").families.items():
        for name in components:
            assert re.search(rf"^### \w+(=|: |=\[){name}\]?$", page, re.MULTILINE), (family, name)
    assert "`shopkit_run_finished(run)`" in page
    assert set(CORE) <= set(load_registry("").families)
    assert "### model=gbdt" in page


def test_the_site_is_gathered_with_links_that_hold(generate: ModuleType, tmp_path: Path) -> None:
    report = tmp_path / "runs" / "purchase_intent" / "2026-01-01" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("<html></html>")
    folder = tmp_path / "site"
    generate.site(folder, tmp_path / "runs")
    assert (folder / "reports" / "purchase_intent.html").read_text() == "<html></html>"
    nav = re.findall(r"^  - .*: (\w+\.md)$", (ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert {path.name for path in folder.glob("*.md")} == set(nav)
    for page in folder.glob("*.md"):
        for target in re.findall(r"\]\(([\w/.-]+)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8")):
            assert (folder / target).exists(), (page.name, target)
