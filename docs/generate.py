"""The pages that are made from the code: `reference.md` (hooks, components, settings) and `gallery.md` (experiments).

python docs/generate.py                      # write both
python docs/generate.py --check              # fail when one is out of date
python docs/generate.py --site build/docs    # gather all pages of the site, with the reports of finished runs
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from shopkit import hookspecs
from shopkit.cli.describe import docstring_of, rows_of
from shopkit.component import FAMILIES, GROUPS, MAIN, Component, choice_of, prefix_of
from shopkit.config.experiment import SECTIONS, General
from shopkit.config.folders import summary
from shopkit.offered import collect
from shopkit.registry import load_registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = "<!-- Made by docs/generate.py from the code: change it there. -->"


def reference() -> str:
    return "\n".join(_reference()).rstrip() + "\n"


def _reference() -> Iterator[str]:
    yield from (MADE, "", "# Reference", "")
    yield "Hooks, components and settings, as `shopkit list` and `shopkit describe` show them."
    yield from ("", "## Hooks", "")
    yield f"Version {hookspecs.API_VERSION} of the hook API. A plugin states the version it is built for in its hook module: "
    yield f"`shopkit_api_version = {hookspecs.API_VERSION}`."
    yield from ("", "| hook | returns | what it is |", "|---|---|---|")
    for name, hook in vars(hookspecs).items():
        if hasattr(hook, "shopkit_spec"):
            signature = inspect.signature(hook)
            arguments = ", ".join(signature.parameters)
            yield f"| `{name}({arguments})` | `{signature.return_annotation}` | {_cell(inspect.getdoc(hook) or '')} |"
    registry = load_registry("")
    for family in registry.families:
        yield from ("", f"## {family.capitalize()}", "")
        if family in FAMILIES:
            yield f"The contract: `shopkit.{family}.base`. Chosen by {_chosen(family)}."
        else:
            yield f"Part of the core. Chosen by {_chosen(family)}."
        for found in registry.components(family):
            yield from _component(family, found.component, "")
        for package, components in first_party().items():
            for component in components.get(family, []):
                yield from _component(family, component, package)
    yield from ("", "## Sections", "", "Settings that belong to no component.")
    yield from _settings("general", General, "")
    for name, (_, settings) in SECTIONS.items():
        yield from _settings(name, settings, f"{name}.")


def _component(family: str, component: Component, package: str) -> Iterator[str]:
    yield from ("", f"### {choice_of(family, component)}", "", f"{component.summary}.")
    if package:
        yield from ("", f"Comes with `{package}`.")
    if component.tags:
        yield from ("", f"Tags: {', '.join(f'`{tag}`' for tag in sorted(component.tags))}.")
    yield from _table(component.config, prefix_of(family, component))


def _settings(name: str, settings: type, prefix: str) -> Iterator[str]:
    yield from ("", f"### {name}", "", docstring_of(settings))
    yield from _table(settings, prefix)


def _table(settings: type, prefix: str) -> Iterator[str]:
    rows = rows_of(settings, prefix)
    if rows:
        yield from ("", "| setting | type | default | meaning |", "|---|---|---|---|")
    for name, kind, default, meaning in rows:
        yield f"| `{name}` | `{_cell(kind)}` | `{_cell(default)}` | {_cell(meaning)} |"


def _chosen(family: str) -> str:
    """How the members of a family are chosen."""
    if family == "features":
        return "`features: <name>`"
    if family == "exporters":
        return (
            f"`exporter=<name>` where they have the tag `{MAIN}`, and so write the run's own file; any of them beside it by "
            "`exports=[<name>, …]`, with settings by `exports=[{name: <name>, <setting>: …}]`"
        )
    return f"`{GROUPS.get(family, family)}=<name>`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def first_party() -> dict[str, dict[str, list[Component]]]:
    """Package → family → components of the packages in `plugins/`, installed or not."""
    found = {}
    for file in sorted((ROOT / "plugins").glob("*/pyproject.toml")):
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        sys.path.insert(0, str(file.parent))
        try:
            for module in project["entry-points"]["shopkit"].values():
                found[project["name"]] = collect(importlib.import_module(module)).components
        finally:
            sys.path.remove(str(file.parent))
    return found


def gallery() -> str:
    return "\n".join(_gallery()).rstrip() + "\n"


def _gallery() -> Iterator[str]:
    yield from (MADE, "", "# Experiments", "", "Each is one file, and runs by the command on its second line.")
    for name, file in experiments().items():
        package = "" if file.is_relative_to(ROOT / "conf") else f" (`{file.relative_to(ROOT / 'plugins').parts[0]}`)"
        yield from ("", f"## {name}{package}", "", summary(file), "", f"<!-- report {name} -->", "", "```yaml")
        yield from file.read_text(encoding="utf-8").rstrip().splitlines()
        yield "```"


def experiments() -> dict[str, Path]:
    """Experiment → its file: the core's, then the plugins'."""
    files = [*sorted((ROOT / "conf" / "experiment").glob("*.yaml"))]
    files += sorted((ROOT / "plugins").glob("*/shopkit_*/conf/experiment/*.yaml"))
    return {file.stem: file for file in files}


# -- the site -------------------------------------------------------------------------------------------------------


def site(folder: Path, runs: Path) -> None:
    """All pages in one folder: the README as the first, the others with links that hold there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    readme = readme.replace("](docs/", "](").replace("](benchmarks/README.md", "](benchmarks.md")
    (folder / "index.md").write_text(readme, encoding="utf-8")
    figures = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8").replace("](../docs/", "](")
    (folder / "benchmarks.md").write_text(re.sub(r"\[([\w/]+\.\w+)\]\(\1\)", r"`benchmarks/\1`", figures), encoding="utf-8")
    for page in DOCS.glob("*.md"):
        text = (
            page.read_text(encoding="utf-8")
            .replace("](../README.md", "](index.md")
            .replace("](../CHANGELOG.md", "](changelog.md")
        )
        (folder / page.name).write_text(text, encoding="utf-8")
    for image in DOCS.glob("*.png"):
        shutil.copyfile(image, folder / image.name)
    shutil.copyfile(ROOT / "CHANGELOG.md", folder / "changelog.md")
    (folder / "gallery.md").write_text(_with_reports(gallery(), folder, runs), encoding="utf-8")


def _with_reports(page: str, folder: Path, runs: Path) -> str:
    """The gallery with the report of each experiment's newest finished run."""

    def link(match: re.Match[str]) -> str:
        reports = sorted(report for report in (runs / match[1]).glob("*/report.html") if report.parent.suffix != ".partial")
        if not reports:
            return ""
        (folder / "reports").mkdir(exist_ok=True)
        shutil.copyfile(reports[-1], folder / "reports" / f"{match[1]}.html")
        return f"[Its report](reports/{match[1]}.html)"

    return re.sub(r"<!-- report (\w+) -->", link, page)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when a page is out of date")
    parser.add_argument("--site", type=Path, metavar="FOLDER", help="gather the site's pages here")
    parser.add_argument("--runs", type=Path, metavar="FOLDER", default=ROOT / "runs", help="finished runs, for their reports")
    parsed = parser.parse_args()
    pages = {"reference.md": reference(), "gallery.md": gallery()}
    if parsed.check:
        old = [name for name, text in pages.items() if not _is(DOCS / name, text)]
        for name in old:
            print(f"docs/{name} is out of date: run python docs/generate.py", file=sys.stderr)
        return 1 if old else 0
    for name, text in pages.items():
        (DOCS / name).write_text(text, encoding="utf-8")
    if parsed.site is not None:
        site(parsed.site, parsed.runs)
    return 0


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
