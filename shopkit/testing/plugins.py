"""What every plugin promises."""

from __future__ import annotations

import os
import subprocess
import sys

from shopkit.registry import HEAVY
from shopkit.testing.subject import Plugin


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
