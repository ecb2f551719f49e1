"""Packages of plugins, made from templates: complete, installable, and passing the conformance suite as they are.

`templates/common` holds what every package has, `templates/<family>` what is the family's own. In paths `MODULE` and `COMPONENT`
stand for the names, `dot.` for a leading dot; a file without `.j2` is copied as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from shopkit import __version__
from shopkit.component import FAMILIES, GROUPS
from shopkit.errors import ConfigError, PluginError, nearest, with_article
from shopkit.hookspecs import API_VERSION
from shopkit.registry import Registry

PREFIX = "shopkit-"
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


@dataclass(frozen=True)
class Kind:
    """What differs between families, beside their templates."""

    word: str
    summary: str
    suffix: str
    """Of the class's name."""
    contract: str
    tags: tuple[str, ...] = ()


KINDS = {
    "models": Kind(
        "model", "One hidden layer over numbers and embeddings", "Model", "shopkit.models.base.Model", ("features:embedding",)
    ),
    "features": Kind("extractor", "A number between its low and high quantile", "Extractor", "shopkit.features.base.Extractor"),
    "sources": Kind("source", "Visits of a shop's site, from a CSV", "Source", "shopkit.sources.base.Source"),
    "views": Kind("view", "Will this customer order again soon, as of each week", "View", "shopkit.views.base.View"),
    "tasks": Kind("task", "How much at most, with a given probability", "Task", "shopkit.tasks.base.Task"),
    "exporters": Kind(
        "exporter",
        "model.onnx, and a JSON that says what goes in and out",
        "Exporter",
        "shopkit.exporters.base.Exporter",
        ("main",),
    ),
}


def new_plugin(name: str, family: str, into: Path, registry: Registry) -> Path:
    """Write the package of a plugin with one component.

    Args:
        name: of the component, e.g. `trees`; the package is called `shopkit-trees`, which may also be given.
        family: a hook family or its config group.
        into: the folder in which the package's own folder is made.
        registry: what is installed already.

    Returns:
        The package's folder.

    Raises:
        ConfigError: a name that cannot be used or is taken, an unknown family, or a folder that is there already.
        PluginError: jinja2 is not installed.
    """
    family = {group: known for known, group in GROUPS.items()}.get(family, family)
    if family not in FAMILIES:
        raise ConfigError(f"There is no family '{family}'.{nearest(family, FAMILIES)} Families: {', '.join(FAMILIES)}.")
    short = name.removeprefix(PREFIX)
    if not _NAME.fullmatch(short):
        raise ConfigError(
            f"'{name}' cannot name a plugin: write lower-case letters and digits, with '-' between words, e.g. gradient-boosting."
        )
    names = _names(short, family)
    folder = into / str(names["distribution"])
    taken = registry.families[family].get(names["component"])
    if taken is not None:
        raise ConfigError(
            f"There is {with_article(KINDS[family].word)} '{names['component']}' already, of {taken.distribution} "
            f"{taken.version}. Choose another name: two plugins with one name cannot be used together."
        )
    if folder.exists():
        raise ConfigError(f"{folder} is there already. Choose another name, or another folder with -o.")
    _write(folder, family, names)
    return folder


def _names(short: str, family: str) -> dict[str, Any]:
    kind = KINDS[family]
    words = re.split("[-_]", short)
    camel = "".join(word.capitalize() for word in words)
    component = "_".join(words)
    group = GROUPS[family]
    return {
        "distribution": PREFIX + "-".join(words),
        "module": f"shopkit_{component}",
        "component": component,
        "class": f"{camel}{kind.suffix}",
        "settings": f"{camel}Settings",
        "family": family,
        "group": group,
        "choice": f"features.numbers={component}" if family == "features" else f"{group}={component}",
        "word": kind.word,
        "summary": kind.summary,
        "contract": kind.contract,
        "tags": "{" + ", ".join(f'"{tag}"' for tag in kind.tags) + "}" if kind.tags else "",
        "api_version": API_VERSION,
        "shopkit_version": __version__,
    }


def _write(folder: Path, family: str, names: Mapping[str, Any]) -> None:
    try:
        import jinja2
    except ImportError:
        raise PluginError('shopkit new needs jinja2: pip install "shopkit[train]"') from None
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    templates = resources.files("shopkit.scaffold") / "templates"
    for root in (templates / "common", templates / family):
        for path, file in _files(root):
            shown = path.replace("MODULE", names["module"]).replace("COMPONENT", names["component"]).replace("dot.", ".")
            target = folder / shown.removesuffix(".j2")
            target.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text(encoding="utf-8")
            target.write_text(environment.from_string(text).render(names) if path.endswith(".j2") else text, encoding="utf-8")


def _files(root: Traversable, inside: str = "") -> list[tuple[str, Traversable]]:
    """Every file below a folder with its path from there."""
    found = []
    for entry in sorted(root.iterdir(), key=lambda entry: entry.name):
        path = f"{inside}/{entry.name}" if inside else entry.name
        found += _files(entry, path) if entry.is_dir() else [(path, entry)]
    return found
