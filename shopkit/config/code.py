"""Places where Hydra or OmegaConf would import or run what a configuration names; shopkit refuses them.

Components are chosen by name among those installed. What is left to Hydra are its own plugins (launchers, sweepers), which it
takes from installed `hydra_plugins` packages only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from shopkit.errors import ConfigError

NO_TARGET = "`_target_` is refused: a configuration chooses among installed components (`shopkit list`), never code."
RESOLVERS = frozenset(
    {
        *("oc.env", "oc.select", "oc.decode", "oc.create", "oc.deprecated", "oc.dict.keys", "oc.dict.values"),
        *("hydra", "now", "python_version"),
    }
)
"""The `${name:…}` of OmegaConf and Hydra themselves; none of them imports or evaluates."""
HYDRA_TARGETS = ("hydra_plugins.", "hydra._internal.core_plugins.")
"""Where launchers and sweepers live."""
SAMPLERS = ("optuna.samplers.", "optuna.pruners.")
_LOGGING = ("hydra.job_logging", "hydra.hydra_logging")
_LOG_CLASS = re.compile(r"logging(?P<handlers>\.handlers)?\.(?P<name>[A-Z]\w*)")
_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")


def refuse_code(config: Any) -> tuple[str, str] | None:
    """The first place in plain, unresolved data that names code, and the sentence about it; None where there is none."""
    for place, key, value in _leaves(config, ""):
        if key == "_target_" and not _is_hydras_own(place, value):
            return place, NO_TARGET
        if place.startswith("hydra.") and (why := _in_hydra(place, key, value)):
            return place, why
        if isinstance(value, str) and "${" in value and (resolver := _unknown_resolver(value)):
            known = ", ".join(sorted(RESOLVERS))
            return place, f"the resolver '{resolver}' is refused; these are known to run nothing: {known}."
    return None


def refuse_modules(typed: Sequence[str], primary: Path | None) -> None:
    """Refuse search paths inside Python packages, which are imported to be searched: before anything is composed.

    Raises:
        ConfigError: on the command line or in the primary configuration file.
    """
    for text in typed:
        if "searchpath" in text and "pkg:" in text:
            raise ConfigError(f"command line: {text}: {_NO_PACKAGE}")
    for at, line in enumerate(primary.read_text(encoding="utf-8").splitlines() if primary is not None else (), 1):
        if "pkg:" in line.partition("#")[0]:
            raise ConfigError(f"{primary}, line {at}: {_NO_PACKAGE}")


_NO_PACKAGE = "a search path `pkg://…` is refused, as searching a package imports it. Give a folder: file://…"


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            inner = f"{path}.{key}" if path else str(key)
            yield inner, str(key), item
            yield from _leaves(item, inner)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"{path}[{index}]", "", item
            yield from _leaves(item, f"{path}[{index}]")


def _is_hydras_own(place: str, value: Any) -> bool:
    if place in ("hydra.launcher._target_", "hydra.sweeper._target_"):
        return isinstance(value, str) and value.startswith(HYDRA_TARGETS)
    if place in ("hydra.sweeper.sampler._target_", "hydra.sweeper.pruner._target_"):
        return isinstance(value, str) and value.startswith(SAMPLERS)
    return False


def _in_hydra(place: str, key: str, value: Any) -> str:
    if place in ("hydra.job.env_set", "hydra.job.env_copy") and value:
        return (
            "is refused: environment variables choose what Python, Java and the system load. Set them where shopkit is started."
        )
    if place.startswith("hydra.sweeper.params") and key.lstrip("+~").startswith("hydra"):
        return "is refused: Hydra's own settings are not swept."
    if place == "hydra.sweeper.custom_search_space" and value is not None:
        return "is refused: it names a function. Give the search space in hydra.sweeper.params."
    if place.startswith(_LOGGING):
        if key in ("()", "queue", "listener") or (key == "class" and not _is_for_logs(value)):
            return f"{value!r} is refused: log handlers and formatters are those of Python's `logging`."
        if isinstance(value, str) and "${" in value and key != "filename":
            return f"{value!r} is refused: only a log's `filename` may point to other settings."
        if isinstance(value, str) and value.startswith("ext://") and value not in _STREAMS:
            return f"{value!r} is refused: streams are {' and '.join(_STREAMS)}."
    if place.startswith("hydra.searchpath") and isinstance(value, str) and "pkg:" in value:
        return _NO_PACKAGE
    return ""


def _is_for_logs(value: Any) -> bool:
    """Whether it names a handler or formatter of Python's, not something that its modules import, such as `logging.os.popen`."""
    import logging.handlers

    named = _LOG_CLASS.fullmatch(value) if isinstance(value, str) else None
    if named is None:
        return False
    found = getattr(logging.handlers if named["handlers"] else logging, named["name"], None)
    return isinstance(found, type) and issubclass(found, (logging.Handler, logging.Formatter))


def _unknown_resolver(text: str) -> str:
    """The first resolver in an interpolation that is not known; as written, where its name is itself made up."""
    from omegaconf.errors import GrammarParseError
    from omegaconf.grammar.gen.OmegaConfGrammarParser import OmegaConfGrammarParser
    from omegaconf.grammar_parser import parse

    try:
        nodes = [parse(text)]
    except GrammarParseError:
        return ""  # OmegaConf itself says what is wrong with it
    while nodes:
        node = nodes.pop()
        if isinstance(node, OmegaConfGrammarParser.InterpolationResolverContext):
            name = str(node.getChild(1).getText())
            if name not in RESOLVERS:
                return name
        nodes += getattr(node, "children", None) or []
    return ""
