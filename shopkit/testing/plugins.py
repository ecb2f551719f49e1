"""What every plugin promises."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

from shopkit.errors import ConfigError
from shopkit.registry import HEAVY
from shopkit.testing.subject import NotApplicable, Plugin


def check_plugin_loads(plugin: Plugin) -> None:
    """The hook module imports, and every hook returns usable components."""
    if plugin.failure is not None:
        plugin.fail(f"it did not load: {plugin.failure.problem}")


def check_plugin_hooks_import_nothing_heavy(plugin: Plugin) -> None:
    """Importing the hook module loads neither torch nor any other heavy library: it is imported whenever shopkit starts."""
    code = f"import sys, {plugin.module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    if ran.returncode:
        plugin.fail(f"its hook module {plugin.module} does not import: {ran.stderr.strip().splitlines()[-1]}")
    if loaded := ran.stdout.splitlines()[-1].split():
        plugin.fail(
            f"importing its hook module {plugin.module} also imports {', '.join(loaded)}, which makes every command slow. "
            "Import it in the component's own module, which a run loads by its target."
        )


def check_plugin_searches_compose(plugin: Plugin) -> None:
    """Each search in the plugin's `conf/hparams_search/` opens with the command that runs it, and all that it tries composes."""
    if plugin.failure is not None:
        raise NotApplicable("it did not load")
    folders: list[Path] = getattr(importlib.import_module(plugin.module), "shopkit_config_paths", list)()
    searches = sorted(path for folder in folders for path in (folder / "hparams_search").glob("*.yaml"))
    if not searches:
        raise NotApplicable("it brings no searches")
    from shopkit.config import Composer
    from shopkit.testing.searches import check_search

    composer = Composer.of(plugin.registry)
    for path in searches:
        try:
            check_search(path, composer)
        except ConfigError as error:
            plugin.fail(f"{path} tries what is no setting: {error}")
