"""`shopkit export RUN int8 mode=static`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from shopkit.cli.console import Parser
from shopkit.errors import ConfigError

_DESCRIPTION = """\
Export a finished run again, in other forms, from the weights it keeps; nothing is trained. Models that are not trained by
gradients, such as gbdt, keep none: ask for their exports=[…] in the run.

The files stand in its exports/NAME/, checked and sealed as those of exports=[…] are; the exit code is 1 if one is refused.

  shopkit export runs/churn/2026-01-31_18-00-00 optimized
  shopkit export RUN int8 mode=static triton model_name=churn     # settings belong to the exporter before them
"""


def main(arguments: Sequence[str]) -> int:
    parser = Parser("export", _DESCRIPTION)
    parser.add_argument("run", metavar="RUN", type=Path, help="a run's folder")
    parser.add_argument(
        "exports", metavar="NAME [key=value]", nargs="+", help="exporters (shopkit list exporters) with their settings"
    )
    parsed = parser.parse(arguments)
    asked = specs(parsed.exports)

    from shopkit.cli.run import announcer, show_paths
    from shopkit.pipeline import add_exports

    run = add_exports(parsed.run, asked, announce=announcer())
    found = (run.facts("exports") or {}).get("exports", {})
    made = [found[spec["name"]] for spec in asked]
    show_paths(*(run.path / one["path"] for one in made if "path" in one))
    return 1 if any("refused" in one for one in made) else 0


def specs(given: Sequence[str]) -> list[dict[str, Any]]:
    """Words of the command line as exporters with their settings.

    >>> specs(["int8", "mode=static", "optimized"])
    [{'name': 'int8', 'mode': 'static'}, {'name': 'optimized'}]
    """
    import yaml  # type: ignore[import-untyped]
    from omegaconf import OmegaConf

    found: list[dict[str, Any]] = []
    for word in given:
        key, is_setting, value = word.partition("=")
        if not is_setting:
            if any(one["name"] == word for one in found):
                raise ConfigError(f"{word} is named twice; each export has one place.")
            found.append({"name": word})
        elif not found or key == "name":
            raise ConfigError(f"{word} stands before the exporter that it is a setting of: write its name first.")
        else:
            try:
                found[-1] |= cast(dict[str, Any], OmegaConf.to_container(OmegaConf.from_dotlist([word])))
            except yaml.YAMLError:
                raise ConfigError(f"{word}: {value!r} cannot be read; put it in quotes.") from None
    return found
