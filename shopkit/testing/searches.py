"""The searches that a package ships in `conf/hparams_search/`."""

from __future__ import annotations

from pathlib import Path

from shopkit.config import Composer
from shopkit.config.hparams import as_override, read_search


def check_search(path: Path, composer: Composer) -> None:
    """A file opens with the command that runs it and a line on it, is of the model it is named after, and every end of its
    intervals and every choice is a setting that composes.

    Raises:
        AssertionError: a line that is missing.
        ConfigError: a setting or value that its model does not take.
    """
    command, summary = path.read_text(encoding="utf-8").splitlines()[:2]
    assert command.startswith("# shopkit search +experiment="), command
    assert f"hparams_search={path.stem} " in command, command
    assert summary.startswith("# "), summary
    settings, typed = read_search(command.removeprefix("# shopkit search ").split(), composer.folders)
    assert f"model={path.stem}" in typed, typed
    values = [space.choices or [space.low, space.high] for space in settings.space.values()]
    for turn in range(max(map(len, values))):
        tried = {key: of_key[turn % len(of_key)] for key, of_key in zip(settings.space, values, strict=True)}
        composer.compose([*typed, *(as_override(key, value) for key, value in tried.items())])
