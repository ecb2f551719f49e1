"""From names and overrides to a checked experiment: Hydra composes, then everything is held against the dataclasses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from shopkit.config.bridge import composing
from shopkit.config.code import NO_TARGET, refuse_code, refuse_modules
from shopkit.config.experiment import FIELDS, SECTIONS, Choice, Experiment, General
from shopkit.config.folders import Folders, find_folders
from shopkit.config.light import compose_light
from shopkit.config.overrides import Override, expand, rewrite, typed_as
from shopkit.config.places import Place, Places
from shopkit.config.screen import component_groups, not_the_runs, options_of, screen, unknown_key, unknown_option
from shopkit.errors import ConfigError, nearest
from shopkit.features.settings import FeaturePlan
from shopkit.pins import check_pins
from shopkit.registry import Registry, load_registry
from shopkit.settings import SettingError, build, plain, types_of

CONFIG_NAME = "config"
LAUNCHERS = {
    "joblib": "hydra-joblib-launcher",
    "ray": "hydra-ray-launcher",
    "ray_aws": "hydra-ray-launcher",
    "rq": "hydra-rq-launcher",
    "submitit_local": "hydra-submitit-launcher",
    "submitit_slurm": "hydra-submitit-launcher",
}
"""Launchers of sweeps, and the package that brings each."""


def compose(experiment: str | None = None, overrides: Sequence[str] = (), registry: Registry | None = None) -> Experiment:
    """An experiment by name, with overrides as on the command line, checked.

    Raises:
        ConfigError: anything that cannot be used; says where it was set, and what there is instead.
        PluginError: a plugin that was changed since it was pinned.
    """
    chosen = [f"experiment={experiment}"] if experiment else []
    return Composer.of(registry or load_registry()).compose([*chosen, *overrides])


def from_hydra(config: Any, overrides: Sequence[str], composer: Composer) -> Experiment:
    """The experiment of a job that Hydra composed; raises as `compose` does.

    Args:
        config: the job's `DictConfig`, without Hydra's own node.
        overrides: the job's overrides, rewritten or as typed.
    """
    return composer.check(config, composer.rewritten(overrides))


@dataclass(frozen=True)
class Composer:
    """Composes and checks, with one registry and one set of folders."""

    registry: Registry
    folders: Folders
    config_name: str = CONFIG_NAME

    @classmethod
    def of(cls, registry: Registry) -> Composer:
        return cls(registry, find_folders(registry))

    @cached_property
    def groups(self) -> dict[str, str]:
        """Config group → family of its components."""
        return component_groups(self.registry)

    def rewritten(self, typed: Iterable[str]) -> list[Override]:
        """Overrides as Hydra is to see them.

        Raises:
            ConfigError: something that is not an override, or would reach code by its `_target_`.
        """
        given = [*typed]
        refuse_modules(given, self.folders.file(self.config_name))
        for text in given:
            if "_target_" in text:
                raise ConfigError(f"command line: {text}: {NO_TARGET}")
        return rewrite(given, {*self.groups, *SECTIONS, "experiment"}, self.folders.groups)

    def screen(self, typed: Sequence[str]) -> None:
        """Refuse, without importing Hydra, what is misspelt whatever is chosen, and what is wrong in a plain configuration.

        Raises:
            ConfigError: as `compose` does.
        """
        overrides = self.rewritten(typed)
        screen(overrides, self.registry, self.folders, self.config_name)
        light = compose_light(overrides, self.registry, self.folders, self.config_name)
        if light is not None:
            data, files = light
            self._placed_check(lambda: data, Places(overrides, self.folders, lambda: files))

    def compose(self, typed: Sequence[str]) -> Experiment:
        """One experiment; raises `ConfigError`."""
        overrides = self.rewritten(typed)
        return self._composed(overrides, [override.rewritten for override in overrides])

    def recompose(self, file: Path, typed: Sequence[str] = ()) -> Experiment:
        """The experiment of a whole configuration, as a run has it in `config.yaml`, with overrides of values.

        Raises:
            ConfigError: as `compose` does.
        """
        import yaml  # type: ignore[import-untyped]
        from omegaconf import OmegaConf

        overrides = self.rewritten(typed)
        if others := [override.typed for override in overrides if override.is_choice and override.key in self.groups]:
            raise ConfigError(f"command line: {others[0]}: a run has the components it had. Run its experiment for others.")
        with self._in_our_words(overrides):
            config = OmegaConf.load(file)
            for override in overrides:
                OmegaConf.update(config, override.key, yaml.safe_load(override.rewritten.partition("=")[2]))
        return self.check(config, overrides)

    def compose_run(self, typed: Sequence[str]) -> Path | None:
        """Check a run before Hydra starts it; raises `ConfigError`.

        Returns:
            The folder that Hydra will make for it, but for the second in its name; None where only Hydra can tell.
        """
        overrides = self.rewritten(typed)
        config = self._config(overrides, [override.rewritten for override in overrides])
        self.check(config, overrides)
        return _folder(config, "hydra.run.dir")

    def compose_sweep(self, typed: Sequence[str]) -> Path | None:
        """Check every value of a sweep before its first job starts; raises `ConfigError`.

        Returns:
            The folder of the sweep, as of `compose_run`.
        """
        overrides = self.rewritten(typed)
        first, *others = self._expanded(overrides)
        # A file may sweep as well; a sweeper takes its values before those that were typed.
        if params := self._swept_in_files(overrides, first):
            first, *others = self._expanded(self.rewritten([*params, *typed]))
        for run in (first, *others):
            self._composed(self.rewritten([text.removeprefix("++") for text in run]), run)
        return _folder(self._config(overrides, first), "hydra.sweep.dir")

    def refuse_code(self, typed: Sequence[str]) -> None:
        """Compose and refuse what names code, whatever else may be wrong; raises `ConfigError`."""
        overrides = self.rewritten(typed)
        self._refuse_code(self._config(overrides, [override.rewritten for override in overrides]), overrides)

    def _expanded(self, overrides: list[Override]) -> list[list[str]]:
        with composing(self.registry, self.folders) as loader, self._in_our_words(overrides):
            return expand(overrides, loader)

    def _swept_in_files(self, overrides: list[Override], texts: list[str]) -> list[str]:
        from omegaconf import OmegaConf

        config = self._config(overrides, texts)
        self._refuse_code(config, overrides)
        params: Any = OmegaConf.to_container(OmegaConf.create(config.hydra.sweeper.get("params") or {}))
        return [f"{key}={value}" for key, value in params.items() if not isinstance(value, (dict, list))]

    def _composed(self, overrides: list[Override], texts: list[str]) -> Experiment:
        return self.check(self._config(overrides, texts), overrides)

    def _config(self, overrides: list[Override], texts: list[str]) -> Any:
        from hydra import compose as hydra_compose

        with composing(self.registry, self.folders), self._in_our_words(overrides):
            return hydra_compose(self.config_name, texts, return_hydra_config=True)

    # -- the check ----------------------------------------------------------------------------------------------

    def check(self, config: Any, overrides: list[Override]) -> Experiment:
        """A composed configuration, every key and type of it held against the dataclasses.

        Args:
            config: the `DictConfig`; Hydra's own node in it is passed over.

        Raises:
            ConfigError: the first thing that does not fit, with the place where it was set.
        """
        # Nothing is resolved before it was looked at.
        places = self._refuse_code(config, overrides)
        return self._placed_check(lambda: _plain_data(config, without="hydra"), places)

    def _refuse_code(self, config: Any, overrides: list[Override]) -> Places:
        from omegaconf import OmegaConf

        places = Places(overrides, self.folders, lambda: self._sources(overrides))
        if found := refuse_code(OmegaConf.to_container(config, resolve=False)):
            path, why = found
            raise ConfigError(_placed(places.of(path), f"{path}: {why}"))
        return places

    def _placed_check(self, data: Callable[[], dict[str, Any]], places: Places) -> Experiment:
        try:
            return self._checked(data(), places)
        except SettingError as error:
            place = places.of(error.path)
            named = place is not None and error.path in place.text
            raise ConfigError(_placed(place, error.problem if named else str(error))) from None

    def _checked(self, data: dict[str, Any], places: Places) -> Experiment:
        if found := refuse_code(data):
            raise SettingError(*found)
        for key in data:
            if key not in FIELDS:
                raise SettingError(key, unknown_key(key))
        top = build(General, {key: data[key] for key in types_of(General) if key in data})
        # Here, so that nothing of an experiment is opened or built by a plugin that was changed.
        check_pins(top.plugins)
        chosen = {group: self._choice(group, data.get(group), places) for group in self.groups}
        self._check_exporter(chosen["exporter"].name, places)
        sections = {group: _section(group, data.get(group, {})) for group in SECTIONS}
        self._check_plan(sections["features"])
        exports = tuple(self.registry.choice("exporters", spec, f"exports[{i}]") for i, spec in enumerate(top.exports))
        names = [choice.name for choice in exports]
        if twice := [name for name in names if names.count(name) > 1]:
            raise SettingError("exports", f"names {twice[0]} twice; each has one folder.")
        raw = {
            **plain(top),
            "exports": [{"name": choice.name, **plain(choice.settings)} for choice in exports],
            **{group: {"name": choice.name, **plain(choice.settings)} for group, choice in chosen.items()},
            **{group: plain(settings) for group, settings in sections.items()},
        }
        self.registry.hook.shopkit_configured(config=raw)
        return Experiment(**{**vars(top), "exports": exports, **chosen, **sections}, raw=raw)

    def _choice(self, group: str, section: Any, places: Places) -> Choice:
        family = self.groups[group]
        if not isinstance(section, Mapping) or not isinstance(section.get("name"), str):
            options = ", ".join(sorted(self.registry.families[family]))
            if isinstance(section, str) and section in self.registry.families[family]:
                raise SettingError(group, f"{section} is chosen under defaults, as '- override /{group}: {section}'.")
            raise SettingError(group, f"nothing is chosen; add {group}=<name>. There are: {options}.")
        name = section["name"]
        if any(override.sets(f"{group}.name") for override in places.overrides):
            raise SettingError(f"{group}.name", f"a component is chosen by its group: {group}={name}")
        try:
            self.registry.find(family, name)
        except ConfigError as error:
            raise SettingError(f"{group}.name", str(error)) from None
        settings = dict(section)
        while True:
            try:
                return self.registry.choice(family, settings, group)
            except SettingError as error:
                key = error.path.removeprefix(f"{group}.")
                if key not in settings or not self._of_another(group, key, places):
                    raise
                del settings[key]

    def _of_another(self, group: str, key: str, places: Places) -> bool:
        """Whether a file set this for a component that the command line has replaced since.

        An experiment that sets `model.dropout` for its `mlp` can so be run with `model=linear`.
        """
        if not any(override.is_choice and override.key == group for override in places.overrides):
            return False
        if any(override.sets(f"{group}.{key}") for override in places.overrides):
            return False
        return any(key in types_of(found.component.config) for found in self.registry.components(self.groups[group]))

    def _check_exporter(self, name: str, places: Places) -> None:
        if name not in options_of("exporter", self.registry):
            raise ConfigError(_placed(places.of_option("exporter", name), not_the_runs(name, self.registry)))

    def _check_plan(self, plan: FeaturePlan) -> None:
        for path, name, settings in plan.chosen():
            try:
                self.registry.choice("features", {"name": name, **settings}, path)
            except SettingError:
                raise
            except ConfigError as error:
                raise SettingError(path, str(error)) from None

    # -- Hydra's errors -----------------------------------------------------------------------------------------

    def _sources(self, overrides: list[Override]) -> list[tuple[str, str]]:
        from hydra.types import RunMode

        with composing(self.registry, self.folders) as loader:
            found = loader.compute_defaults_list(self.config_name, [override.rewritten for override in overrides], RunMode.RUN)
        return [(result.config_path, result.package or "") for result in found.defaults if result.config_path]

    @contextmanager
    def _in_our_words(self, overrides: list[Override]) -> Iterator[None]:
        import yaml
        from hydra.errors import HydraException, MissingConfigException, OverrideParseException
        from omegaconf.errors import OmegaConfBaseException

        try:
            yield
        except MissingConfigException as error:
            raise self._missing(error, overrides) from None
        except OverrideParseException as error:
            typed = typed_as(overrides, error.override)
            raise ConfigError(f"command line: {typed}: {_first_line(error.message)}") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"not a YAML file: {' '.join(str(error).split())}") from None
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise ConfigError(_in_one_line(overrides, error)) from None

    def _missing(self, error: Any, overrides: list[Override]) -> ConfigError:
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        place = Places(overrides, self.folders, list).of_option(group, option)
        if group in {*self.groups, *SECTIONS, "experiment"} or not error.options:
            return ConfigError(_placed(place, unknown_option(group, option, self.registry, self.folders)))
        if group == "hydra/launcher" and option in LAUNCHERS:
            text = f"The launcher {option} is not installed. Run: pip install {LAUNCHERS[option]} (see docs/engines.md)"
            return ConfigError(_placed(place, text))
        shown = ", ".join(error.options)
        return ConfigError(_placed(place, f"There is no {group} '{option}'.{nearest(option, error.options)} There are: {shown}."))


def _folder(config: Any, setting: str) -> Path | None:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return Path(str(OmegaConf.select(config, setting)))
    except OmegaConfBaseException:  # an interpolation of what Hydra knows of the job that it has started
        return None


def _section(group: str, value: Any) -> Any:
    _, settings = SECTIONS[group]
    if not isinstance(value, Mapping):
        raise SettingError(group, f"must be settings, got {value!r}. Its settings: {', '.join(types_of(settings))}.")
    return build(settings, value, group, owner=group)


def _plain_data(config: Any, resolve: bool = True, without: str = "") -> dict[str, Any]:
    """An OmegaConf node as plain data.

    Raises:
        SettingError: an interpolation `${…}` that leads nowhere.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    data = {}
    for key in config:
        if key == without:
            continue
        try:
            value = config._get_node(key)
            container = OmegaConf.is_config(value) and not value._is_none() and not value._is_missing()
            data[str(key)] = OmegaConf.to_container(value, resolve=resolve) if container else config[key]
        except OmegaConfBaseException as error:
            raise SettingError(error.full_key or str(key), _first_line(str(error))) from None
    return data


def _in_one_line(overrides: list[Override], error: Exception) -> str:
    """What Hydra or OmegaConf has to say about an override, without Hydra's advice to add `+`, which would not help."""
    text = str(error) or str(error.__cause__)
    blamed = next((override for override in overrides if f"'{override.rewritten}'" in text), None)
    if blamed is not None and text.startswith("Ambiguous value"):
        text = f"several values. Give a list as [{blamed.value}], text in quotes, or add --multirun to try each."
    if blamed is None and text.startswith("Could not override 'hydra."):
        blamed = next(override for override in overrides if f"'{override.key}'" in text)
        text = _unknown_hydra_key(blamed.key)
    blamed = blamed or next((override for override in overrides if f"'{override.key}'" in text), None)
    text = typed_as(overrides, _first_line(text))
    return f"command line: {blamed.typed}: {text}" if blamed is not None else text


def _unknown_hydra_key(key: str) -> str:
    from hydra.conf import HydraConf

    node: Any = HydraConf
    for part in key.split(".")[1:]:
        known = types_of(node) if isinstance(node, type) and is_dataclass(node) else {}
        if part not in known:
            return f"Hydra has no setting '{part}' there.{nearest(part, known)} There are: {', '.join(sorted(known)) or 'none'}."
        node = known[part]
    return f"Hydra has no setting '{key}'."


def _placed(place: Place | None, text: str) -> str:
    return f"{place.text}: {text}" if place is not None else text


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


def with_folder(composer: Composer, folder: Path) -> Composer:
    """The composer with one more folder of YAML, searched last (`--config-dir`)."""
    return replace(composer, folders=replace(composer.folders, plugins=(*composer.folders.plugins, folder)))
