"""The command line: one small module per verb, imported when the verb is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

VERBS: dict[str, str] = {
    "run": "Run an experiment: from raw tables to one checked ONNX file and a report",
    "search": "Search for the settings that validate best, then run the best in full",
    "list": "List the components that can be chosen, and the plugins they come from",
    "describe": "Show the settings of a component: types, defaults, meanings",
    "predict": "Score a CSV or Parquet file of any size with an exported file",
    "bench": "Measure a file: speed, cold start, memory, size, beside what one would do without it",
    "export": "Export a finished run in other forms (int8, triton, web, …), without training",
    "report": "Write the report of a run again",
    "compare": "Set runs side by side: metrics with intervals, and what differs",
    "reproduce": "Run a run again from its folder, and say what differs",
    "clean": "List old runs, and remove them by rule; never the newest or a pinned one",
    "pin": "Keep a run from being removed",
    "init": "Look at a table of your own, and write the experiment file for it",
    "new": "Make the package of a plugin: shopkit new plugin NAME --family models",
    "plugins": "Show the plugins that are installed, check one, say what is wrong: list, check, doctor",
    "doctor": "Check the installation: versions, devices, providers, what is missing for what",
}

_HELP = """\
shopkit: from a shop's tables to one checked ONNX file.

Usage: shopkit VERB [arguments]     (shopkit VERB --help says more)

{verbs}

Start with:
  shopkit run +experiment=purchase_intent
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code is 0, the error's own, or 130 after Ctrl-C."""
    from shopkit.errors import ShopkitError

    given = [*(sys.argv[1:] if arguments is None else arguments)]
    try:
        return _dispatch(given)
    except ShopkitError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of a pipe has gone (`shopkit list | head`); closing stderr keeps Python from complaining at exit.
        sys.stderr.close()
        return 0
    except Exception:
        # What nobody foresaw is shown whole, for the report of a bug; a driver's message may hold the URL it was given.
        import traceback

        from shopkit.secrecy import without_secrets

        print(without_secrets(traceback.format_exc()), end="", file=sys.stderr)
        return 1


def _dispatch(given: Sequence[str]) -> int:
    from shopkit import __version__
    from shopkit.errors import ConfigError, nearest

    if not given or given[0] in ("-h", "--help", "help"):
        print(help_text(), end="")
        return 0
    if given[0] in ("-V", "--version"):
        print(f"shopkit {__version__}")
        return 0
    verb, rest = given[0], given[1:]
    if verb in ("-sc", "--shell-completion"):
        verb, rest = "run", given
    if verb not in VERBS:
        raise ConfigError(f"There is no verb '{verb}'.{nearest(verb, VERBS)} Verbs: {', '.join(VERBS)}.")
    return int(importlib.import_module(f"shopkit.cli.{verb}").main(rest))


def help_text() -> str:
    width = max(map(len, VERBS))
    return _HELP.format(verbs="\n".join(f"  {verb:{width}}  {what}" for verb, what in VERBS.items()))
