"""The searches that a package ships in `conf/hparams_search/`."""

from __future__ import annotations

import shlex
from pathlib import Path

from shopkit.config import Composer
from shopkit.config.hparams import as_override, read_search
from shopkit.testing.subject import ConformanceError

_COMMAND = "# shopkit search "


def check_search(path: Path, composer: Composer) -> None:
    """A file opens with the command that runs it and a line on it, and every end of its intervals and every choice composes.

    Raises:
        ConformanceError: a line that is missing.
        ConfigError: a setting or value that its model does not take.
    """
    command, summary = [*path.read_text(encoding="utf-8").splitlines(), "", ""][:2]
    if not command.startswith(f"{_COMMAND}+experiment=") or f"hparams_search={path.stem} " not in f"{command} ":
        wanted = f"{_COMMAND}+experiment=<one> hparams_search={path.stem} n_trials=<how many>"
        raise ConformanceError(f"{path}: its first line is the command that runs it, `{wanted}`; it is `{command}`.")
    if not summary.startswith("# "):
        raise ConformanceError(f"{path}: its second line says what is tried, `# …`; it is `{summary}`.")
    settings, typed = read_search(shlex.split(command.removeprefix(_COMMAND)), composer.folders)
    values = [space.choices or [space.low, space.high] for space in settings.space.values()]
    for turn in range(max(map(len, values))):
        tried = {key: of_key[turn % len(of_key)] for key, of_key in zip(settings.space, values, strict=True)}
        composer.compose([*typed, *(as_override(key, value) for key, value in tried.items())])
