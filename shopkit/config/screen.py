"""Misspelt overrides, found before Hydra is imported: an answer in half the time for the most frequent mistakes.

It refuses only what no composition can accept, whatever an experiment chooses: a key that is a setting of no component of
its group, an option that is neither a component nor a file, a word where a number must stand. Everything is checked again,
and by itself, after composition.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shopkit.component import GROUPS, MAIN
from shopkit.config.experiment import FIELDS, SECTIONS
from shopkit.config.folders import Folders
from shopkit.config.overrides import Override
from shopkit.config.places import chosen_in
from shopkit.errors import ConfigError, nearest
from shopkit.registry import Registered, Registry
from shopkit.settings import SettingError, convert, types_of, unknown_setting


def component_groups(registry: Registry) -> dict[str, str]:
    """Config group → family, for the groups whose options are components. (`features` holds plans, made of extractors.)"""
    return {GROUPS.get(family, family): family for family in registry.families if family != "features"}


def options_of(group: str, registry: Registry) -> dict[str, Registered]:
    """The components that `group=` takes: all of its family; of exporters, those that write a run's own file."""
    found = registry.families[component_groups(registry)[group]]
    return {name: one for name, one in found.items() if group != "exporter" or MAIN in one.component.tags}


def not_the_runs(exporter: str, registry: Registry) -> str:
    """The sentence about an exporter that does not write a run's own file."""
    return (
        f"The exporter {exporter} does not write the model.onnx that a run is measured by (its tags lack '{MAIN}'). Put it into "
        f"exports=[{exporter}], with settings exports=[{{name: {exporter}, …}}]; exporter= takes "
        f"{', '.join(options_of('exporter', registry))}."
    )


def screen(overrides: Sequence[Override], registry: Registry, folders: Folders, primary: str) -> None:
    """Refuse overrides that cannot be right.

    Raises:
        ConfigError: an unknown group, option or setting.
    """
    for override in overrides:
        group, _, rest = override.key.partition(".")
        if override.key.startswith("hydra") or any(mark in override.key for mark in "@/[") or override.sign == "~":
            continue
        if group not in FIELDS and group not in folders.groups:
            raise ConfigError(f"command line: {override.typed}: {unknown_key(group)}")
        if override.is_choice:
            _check_option(override, registry, folders)
        elif rest and group in {*SECTIONS, *component_groups(registry)}:
            _check_setting(override, group, rest.partition(".")[0], _Chosen(overrides, folders, primary), registry)


def unknown_key(key: str) -> str:
    """The sentence about a key that is not at the top of a configuration."""
    return f"There is no '{key}'.{nearest(key, FIELDS)} There are: {', '.join(FIELDS)}."


def unknown_option(group: str, option: str, registry: Registry, folders: Folders) -> str:
    """The sentence about an option that a config group does not have."""
    if group == "experiment":
        known = [*folders.experiments()]
        return f"There is no experiment '{option}'.{nearest(option, known)} Experiments: {', '.join(known) or 'none'}."
    families = component_groups(registry)
    if group in families:
        try:
            registry.find(families[group], option)
        except ConfigError as unknown:
            return str(unknown)
        return not_the_runs(option, registry)
    known = folders.options(group)
    if group in SECTIONS:
        known.append(SECTIONS[group][0])
    return f"There is no {group or 'configuration'} '{option}'.{nearest(option, known)} There are: {', '.join(sorted(known))}."


def _check_option(override: Override, registry: Registry, folders: Folders) -> None:
    group, option = override.key, override.value
    families = component_groups(registry)
    components = options_of(group, registry) if group in families else {}
    known = {*components, *folders.options(group), *([SECTIONS[group][0]] if group in SECTIONS else [])}
    if option.isidentifier() and option not in {*known, "null"}:
        raise ConfigError(f"command line: {override.typed}: {unknown_option(group, option, registry, folders)}")


class _Chosen:
    """What the command line, the experiment and the primary configuration choose, the first that speaks."""

    def __init__(self, overrides: Sequence[Override], folders: Folders, primary: str) -> None:
        self.choices = {override.key: override.value for override in overrides if override.is_choice}
        files = [folders.file(f"experiment/{self.choices.get('experiment', '')}"), folders.file(primary)]
        self.files: list[Path] = [path for path in files if path is not None]

    def option(self, group: str) -> str | None:
        if group in self.choices:
            return self.choices[group]
        return next((option for path in self.files if (option := chosen_in(path, group))), None)


def _check_setting(override: Override, group: str, key: str, chosen: _Chosen, registry: Registry) -> None:
    families = component_groups(registry)
    if group in SECTIONS:
        owners = {SECTIONS[group][0]: SECTIONS[group][1]}
        name: str | None = SECTIONS[group][0]
    else:
        owners = {option: found.component.config for option, found in registry.families[families[group]].items()}
        name = chosen.option(group)
    hints = [types_of(settings)[key] for settings in owners.values() if key in types_of(settings)]
    if key == "name" or name not in owners:
        return
    if not hints:
        owner = group if group in SECTIONS else f"{group} {name}"
        raise ConfigError(f"command line: {override.typed}: {unknown_setting(owners[name], key, owner)}")
    if override.key == f"{group}.{key}":
        _check_type(override, hints)


def _check_type(override: Override, hints: Sequence[Any]) -> None:
    """Refuse a plain word or number that fits the setting in none of the components that have it."""
    value = plain_value(override.value)
    if value is None:
        return
    refused = []
    for hint in hints:
        try:
            convert(hint, value, override.key)
        except SettingError as error:
            refused.append(error)
    if len(refused) == len(hints) and len({error.problem for error in refused}) == 1:
        raise ConfigError(f"command line: {override.typed}: {refused[0].problem}")


def plain_value(text: str) -> bool | int | float | str | None:
    """What Hydra's grammar makes of a single word or number; None for anything that it may read in another way."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if re.fullmatch(r"-?(0|[1-9]\d*)", text):
        return int(text)
    if re.fullmatch(r"-?(0|[1-9]\d*)\.\d+", text):
        return float(text)
    return text if re.fullmatch(r"[A-Za-z_]\w*", text) and text.lower() not in ("null", "inf", "nan") else None
