"""Command-line overrides, rewritten so that Hydra passes on what shopkit checks, and says in its own words."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from shopkit.errors import ConfigError
from shopkit.secrecy import blotted

_OVERRIDE = re.compile(r"(?P<sign>\+\+|\+|~)?(?P<key>[^=+~\s][^=\s]*)(?P<value>=.*)?", re.DOTALL)

PARTIAL = ".partial"
"""What a run's folder ends in while the run is at work."""

RUN_FOLDERS = ("hydra.run.dir", "hydra.sweep.subdir")
"""Settings that name a run's folder, which is called `….partial` until the run is complete."""


@dataclass(frozen=True)
class Override:
    """One override: as typed, and as given to Hydra."""

    typed: str
    sign: str
    key: str
    value: str
    """What follows `=`, as typed."""
    rewritten: str

    @property
    def is_choice(self) -> bool:
        """Whether it chooses an option of a config group."""
        return "." not in self.key and not self.rewritten.startswith(("++", "~"))

    def sets(self, path: str) -> bool:
        """Whether it sets the setting at a dotted path, a mapping or list that holds it, or something inside it."""
        own = _path(self.key)
        around = not self.is_choice and path.startswith((f"{own}.", f"{own}["))
        return self.sign != "~" and (path == own or around or own.startswith(f"{path}."))


def rewrite(typed: Iterable[str], groups: Collection[str], further_groups: Collection[str] = ()) -> list[Override]:
    """Overrides as Hydra is to see them.

    A value becomes `++key=value`, so that Hydra lets it through whatever it is called, and the check after composition
    speaks; `+group=option` becomes `group=option`, so that both ways of choosing an experiment work; a run folder gets
    its `.partial`.

    Args:
        groups: config groups that every configuration chooses from.
        further_groups: groups that only a user's or plugin's folder has; choosing from them adds to the configuration.

    Raises:
        ConfigError: something that is not an override.
    """
    return [_rewrite(text, groups, further_groups) for text in typed]


def _rewrite(text: str, groups: Collection[str], further_groups: Collection[str]) -> Override:
    match = _OVERRIDE.fullmatch(text)
    if match is None or (match["value"] is None and match["sign"] != "~"):
        raise ConfigError(f"command line: '{text}' is not an override; write key=value, e.g. model=mlp or model.dropout=0.1.")
    sign, key, value = match["sign"] or "", match["key"], match["value"] or ""
    if key in RUN_FOLDERS:
        rewritten = f"{sign}{key}{_partial(value)}"
    elif sign == "~" or key.startswith(("hydra.", "hydra/")) or "@" in key:
        rewritten = text
    elif key in groups:
        if not re.match(r"=['\"]?[A-Za-z_]|=$", value):
            raise ConfigError(
                f"command line: {text}: {key} is chosen by a name; its settings are given as {key}.<setting>=<value>."
            )
        rewritten = f"{key}{value}"
    elif key in further_groups or "/" in key:
        rewritten = f"+{key}{value}"
    else:
        rewritten = f"++{key}{value}"
    return Override(blotted(text), sign, key, value.removeprefix("="), rewritten)


def _partial(value: str) -> str:
    quote = value[-1] if value[-1:] in ("'", '"') else ""
    bare = value.removesuffix(quote).rstrip("/") if quote else value.rstrip("/")
    return f"{bare}{'' if bare.endswith(PARTIAL) else PARTIAL}{quote}"


def _path(key: str) -> str:
    # `a[b]` and `a.b` are one key to OmegaConf.
    return re.sub(r"\[([^\]\d][^\]]*)\]", r".\1", key)


def typed_as(overrides: Iterable[Override], text: str) -> str:
    """A message of Hydra's in which rewritten overrides read as they were typed."""
    for override in overrides:
        text = text.replace(override.rewritten, override.typed)
    return text


def expand(overrides: list[Override], loader: Any) -> list[list[str]]:
    """The overrides of a sweep as single compositions that between them try every value of every swept setting once.

    Args:
        loader: Hydra's, which knows the options that a glob stands for.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    options: list[list[str]] = []
    for parsed, override in zip(
        OverridesParser.create(config_loader=loader).parse_overrides([o.rewritten for o in overrides]), overrides, strict=True
    ):
        if not parsed.is_sweep_override():
            options.append([override.rewritten])
        elif parsed.is_discrete_sweep():
            options.append([f"{parsed.get_key_element()}={value}" for value in parsed.sweep_string_iterator()])
        else:  # an interval: its numbers are known only to the sweeper; each job checks itself when it starts
            options.append([])
    first = [values[0] for values in options if values]
    runs = [first]
    for index, values in enumerate(options):
        before = [value[0] for value in options[:index] if value]
        after = [value[0] for value in options[index + 1 :] if value]
        runs += [[*before, value, *after] for value in values[1:]]
    return runs
