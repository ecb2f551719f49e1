"""`shopkit search +experiment=NAME hparams_search=NAME n_trials=20`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shopkit.cli.console import print_table
from shopkit.cli.run import announcer, show_paths
from shopkit.config import Composer
from shopkit.config.folders import summary
from shopkit.config.hparams import GROUP, SearchSettings, read_search
from shopkit.errors import ConfigError
from shopkit.registry import load_registry
from shopkit.settings import documentation, types_of

_HELP = """\
Search for the settings that validate best, then run the best in full: its test part is looked at once.

Usage: shopkit search [+experiment=NAME] hparams_search=NAME [n_trials=N] [setting=value ...] [-o FOLDER]

Searches (in conf/hparams_search/, yours in the current directory or shopkit's):
{searches}

Settings of the search:
{settings}

  -o FOLDER    where it goes; runs/<name>/<time>_search if not given
  resume=true  go on with an unfinished search of the same settings and data, or add trials to a finished one

Examples:
  shopkit search +experiment=purchase_intent hparams_search=mlp n_trials=20
  shopkit search +experiment=purchase_intent hparams_search=mlp n_trials=40 resume=true trainer.max_epochs=20
"""


def main(arguments: Sequence[str]) -> int:
    composer = Composer.of(load_registry())
    if any(argument in ("-h", "--help") for argument in arguments):
        print(help_text(composer), end="")
        return 0
    given = [*arguments]
    folder: Path | None = None
    if "-o" in given:
        at = given.index("-o")
        if at + 1 == len(given):
            raise ConfigError("shopkit search: -o wants a folder.")
        folder = Path(given[at + 1])
        del given[at : at + 2]
    if unknown := next((argument for argument in given if argument.startswith("-")), None):
        raise ConfigError(f"shopkit search does not know '{unknown}'. shopkit search --help shows what there is.")
    return run(composer, given, folder)


def run(composer: Composer, typed: Sequence[str], folder: Path | None) -> int:
    """Search, and print what came out."""
    settings, overrides = read_search(typed, composer.folders)
    experiment = composer.compose(overrides)

    from shopkit.pipeline import unfinished
    from shopkit.report.headline import interval, title_of, written
    from shopkit.tuning import execute_search

    target = unfinished(folder, experiment.name, "_search")
    done = execute_search(composer, settings, overrides, target, announce=announcer())
    facts = done.facts
    unit = facts.get("unit", "")
    print_table(("Setting", "Best"), [(key, str(value)) for key, value in facts["best"]["params"].items()])
    print()
    print_table(
        ("Metric", "Test", "95 % interval"),
        [
            (title_of(facts, name), written(name, estimate["value"], unit), interval(name, estimate, unit))
            for name, estimate in facts["test"].items()
        ],
    )
    show_paths(done.path, done.best.model_path, done.page)
    return 0


def help_text(composer: Composer) -> str:
    names = {name: composer.folders.file(f"{GROUP}/{name}") for name in composer.folders.options(GROUP)}
    wide = max(map(len, names), default=0)
    meanings = documentation(SearchSettings)
    shown = [name for name in types_of(SearchSettings) if name not in ("overrides", "space")]
    defaults = {field: getattr(SearchSettings, field) for field in shown}
    return _HELP.format(
        searches="\n".join(f"  {name:{wide}}  {summary(path)}" for name, path in names.items() if path) or "  none",
        settings="\n".join(f"  {f'{name}={defaults[name]}':18} {meanings[name]}" for name in shown),
    )
