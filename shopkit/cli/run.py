"""`shopkit run +experiment=…`: Hydra's own command line, behind shopkit's checks."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkit.cli.console import print_table
from shopkit.config import Composer, from_hydra
from shopkit.config.bridge import VERSION_BASE, offered
from shopkit.config.composer import with_folder
from shopkit.config.experiment import SECTIONS
from shopkit.config.folders import summary
from shopkit.config.screen import component_groups, options_of
from shopkit.errors import ConfigError, RunError, ShopkitError, nearest
from shopkit.progress import is_terminal
from shopkit.registry import load_registry
from shopkit.secrecy import blotted, without_secrets

if TYPE_CHECKING:
    from shopkit.crossvalidation import CrossValidation
    from shopkit.runs import Run

_HELP = """\
Run an experiment: from raw tables to one checked ONNX file and a report.

Usage: shopkit run [+experiment=NAME] [group=option ...] [group.setting=value ...] [options]

Experiments (in conf/experiment/, yours in the current directory or shopkit's):
{experiments}

Choices (shopkit describe GROUP OPTION shows the settings of one):
{groups}

Settings at the top: name, seed, resume, cv (shopkit describe general)

Options:
  -m, --multirun             run every combination of values: model=mlp,linear seed=0,1,2
  -c, --cfg job              print the configuration instead of running it
  -i, --info [WHAT]          print what Hydra knows: defaults, defaults-tree, config, searchpath, plugins
  -cd, --config-dir FOLDER   one more folder of configurations
  -cn, --config-name NAME    another file than config.yaml to start from
  -sc, --shell-completion    eval "$(shopkit run -sc install=bash)" completes overrides (also fish, zsh)
  --hydra-help               Hydra's own options

Examples:
  shopkit run +experiment=purchase_intent
  shopkit run +experiment=purchase_intent model=linear
  shopkit run +experiment=purchase_intent model.dropout=0.2 trainer.max_epochs=10
  shopkit run +experiment=purchase_intent hydra.run.dir=runs/tonight resume=true
  shopkit run +experiment=purchase_intent cv=5
"""


def main(arguments: Sequence[str]) -> int:
    """Check everything, then hand over to Hydra, which makes the folder and calls the pipeline."""
    # What Hydra builds up while composing stays; looking through it for garbage is a tenth of the time of a config error.
    gc.disable()
    try:
        return _main(Composer.of(load_registry()), arguments)
    finally:
        gc.enable()


def _main(composer: Composer, arguments: Sequence[str]) -> int:
    if any(argument in ("-h", "--help") for argument in arguments):
        print(help_text(composer), end="")
        return 0
    if "-sc" in arguments or "--shell-completion" in arguments:
        return _complete(composer, arguments)

    is_search = any(argument.lstrip("+").startswith("hparams_search=") for argument in arguments)
    if not is_search and not any(argument.startswith("-") for argument in arguments):
        composer.screen(arguments)
    parsed = _parser().parse_intermixed_args([*arguments])
    if parsed.config_dir is not None:
        composer = with_folder(composer, _folder(parsed.config_dir))
    if parsed.config_path is not None:
        composer = replace(composer, folders=replace(composer.folders, core=_folder(parsed.config_path)))
    if parsed.config_name is not None:
        composer = replace(composer, config_name=parsed.config_name)

    if is_search:
        return _search(composer, parsed)
    overrides = composer.rewritten(parsed.overrides)
    folder: Path | None = None
    if parsed.multirun or any(override.key == "hydra.mode" and override.value == "MULTIRUN" for override in overrides):
        folder = composer.compose_sweep(parsed.overrides)
    elif parsed.info:
        composer.refuse_code(parsed.overrides)  # showing it sets up its logging
    elif not parsed.hydra_help:
        folder = composer.compose_run(parsed.overrides)
    flags = [argument for argument in arguments if argument not in parsed.overrides]
    given = [*_without_folders(flags), *(override.rewritten for override in overrides)]
    if not parsed.cfg and not parsed.info:
        from shopkit.opening import without_trace

        with without_trace(folder) if folder else nullcontext():
            return _hydra(composer, given)
    with redirect_stdout(StringIO()) as shown:
        code = _hydra(composer, given)
    print(without_secrets(shown.getvalue()), end="")
    return code


def _search(composer: Composer, parsed: argparse.Namespace) -> int:
    """`shopkit run --multirun … hparams_search=…` is `shopkit search`."""
    if not parsed.multirun:
        raise ConfigError("hparams_search tries many settings, so it makes many runs: use shopkit search, or add --multirun.")
    from shopkit.cli import search

    gc.enable()
    return search.run(composer, parsed.overrides, None)


def help_text(composer: Composer) -> str:
    """What `shopkit run --help` prints: the experiments and options of this installation and folder."""
    experiments = {name: summary(path) for name, path in composer.folders.experiments().items()}
    options: dict[str, set[str]] = {group: {option} for group, (option, _) in SECTIONS.items()}
    for group in component_groups(composer.registry):
        options[group] = set(options_of(group, composer.registry))
    options["exports"] = set(composer.registry.families["exporters"])
    for group, names in options.items():
        names |= {path.stem for folder in composer.folders for path in (folder / group).glob("*.yaml")}
    order = ["engine", "source", "view", "split", "features", "model", "task", "exporter", "exports"]
    order += ["trainer", "logger", "evaluation"]
    wide = max(map(len, experiments), default=0)
    return _HELP.format(
        experiments="\n".join(f"  {name:{wide}}  {text}" for name, text in experiments.items()) or "  none",
        groups="\n".join(f"  {group + '=':12}{', '.join(sorted(options[group]))}" for group in order),
    )


# -- Hydra ------------------------------------------------------------------------------------------------------


def _hydra(composer: Composer, arguments: Sequence[str]) -> int:
    """Hydra's main over these arguments. A job's error is kept back and raised here, so that Hydra adds no words of its own."""
    import hydra

    from shopkit.cli import sweep

    failures: list[Exception] = []

    def job(config: Any) -> None:
        try:
            _run(config, composer)
        except Exception as error:
            failures.append(error)
            if _is_sweep():
                sweep.note(error=without_secrets(str(error)) or type(error).__name__)
                if isinstance(error, ShopkitError):
                    print(f"Error: {error}", file=sys.stderr)

    # Hydra names a job after the module of its function, and looks for its configuration beside it.
    start = hydra.main(
        version_base=VERSION_BASE, config_path=str(composer.folders.core.resolve()), config_name=composer.config_name
    )(job)
    with offered(composer.registry, composer.folders), _as_hydra_expects(arguments), sweep.notes() as notes:
        try:
            start()
        except BrokenPipeError:
            raise
        except OSError as error:
            where = error.filename or "the run folder"
            raise RunError(
                f"Cannot write {where}: {error.strerror or error}. Choose another folder with hydra.run.dir=…"
            ) from error
        failed = sweep.failures(notes)
        if failed:
            sweep.discard_unused(notes)
        if page := sweep.page(notes):
            show_paths(page)
    for failure in failures:
        if not isinstance(failure, ShopkitError):
            raise failure
    if max(len(failures), len(failed)) > 1:
        raise RunError(f"{max(len(failures), len(failed))} runs of the sweep failed; each said why above.")
    if failures:
        raise failures[0]
    if failed:
        raise RunError(f"One run of the sweep failed: {failed[0]}")
    return 0


def _run(config: Any, composer: Composer) -> None:
    from hydra.core.hydra_config import HydraConfig

    from shopkit.cli import sweep

    node = HydraConfig.get()
    _blot_notes(Path(node.runtime.output_dir) / str(node.output_subdir), Path(node.sweep.dir))
    experiment = from_hydra(config, list(node.overrides.task), composer)

    from shopkit.opening import without_trace
    from shopkit.pipeline import execute

    gc.enable()
    if _is_sweep():
        print(f"Run {node.job.num}: {' '.join(blotted(list(node.overrides.task))).replace('++', '')}")
    folder = Path(node.runtime.output_dir)
    done: CrossValidation | Run
    with without_trace(folder):
        if experiment.cv:
            from shopkit.crossvalidation import execute_folds

            done = execute_folds(experiment, folder, registry=composer.registry, announce=announcer())
            show_folds(done)
        else:
            done = execute(experiment, folder, registry=composer.registry, announce=announcer())
            _show(done)
    if _is_sweep():
        sweep.note(path=str(done.path.absolute()))


def _blot_notes(*folders: Path) -> None:
    """Take passwords out of what Hydra itself wrote down: the overrides as typed, and the configuration as composed."""
    from omegaconf import OmegaConf

    from shopkit.runs import replacing

    for path in (path for folder in folders for path in folder.glob("*.yaml")):
        data = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        if (clean := blotted(data)) != data:
            with replacing(path) as temporary:
                temporary.write_text(OmegaConf.to_yaml(OmegaConf.create(clean)), encoding="utf-8")


def _is_sweep() -> bool:
    from hydra.core.hydra_config import HydraConfig

    return HydraConfig.initialized() and str(HydraConfig.get().mode) == "RunMode.MULTIRUN"


def announcer() -> Callable[[str, str, float], None]:
    """Prints each finished stage: its name, what came out, how long it took."""
    if not is_terminal():
        return lambda stage, line, seconds: print(f"{stage:9} {line}  ({seconds:.1f} s)", flush=True)
    from rich.markup import escape

    from shopkit.progress import console

    def show(stage: str, line: str, seconds: float) -> None:
        style = "bold yellow" if stage == "warning" else "bold"
        took = f"  [dim]{seconds:.1f} s[/]" if seconds else ""
        console().print(f"[{style}]{stage:9}[/] {escape(line)}{took}", soft_wrap=True)  # a path is broken by nothing

    return show


def _show(run: Run) -> None:
    """Where the result is: for people what to do with it, in a pipe the paths."""
    if not is_terminal():
        show_paths(run.path, run.model_path, run.report_path)
        return
    print(f"\nlook at   {_from_here(run.report_path)}  (in a browser: how good it is, and how to call the file)")
    print(f"use       {_from_here(run.model_path)}")


def show_folds(done: CrossValidation) -> None:
    """The means of a cross-validation, and where its folds are."""
    from shopkit.report.headline import interval, title_of, written

    facts = done.facts
    print_table(
        ("Metric", "Mean", "95 % interval"),
        [
            (title_of(facts, name), written(name, mean["value"], facts["unit"]), interval(name, mean, facts["unit"]))
            for name, mean in facts["metrics"].items()
        ],
    )
    show_paths(done.path, done.page)


def show_paths(*paths: Path) -> None:
    """Those of the paths that exist, relative to the current folder where they lie in it."""
    for path in paths:
        if path.exists():
            print(_from_here(path))


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


# -- arguments --------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    """Hydra's own parser, whose errors are sentences."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    options = [option for action in parser._actions for option in action.option_strings]

    def refuse(message: str) -> None:
        unknown = message.partition("unrecognized arguments: ")[2].partition(" ")[0]
        near = nearest(unknown.partition("=")[0], options) if unknown else ""
        raise ConfigError(f"shopkit run: {message}.{near} shopkit run --help shows the options.")

    parser.error = refuse  # type: ignore[method-assign,assignment]
    return parser


def _folder(given: str) -> Path:
    folder = Path(given).absolute()
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {given} of configurations.")
    return folder


def _without_folders(flags: Sequence[str]) -> list[str]:
    """The flags that go on to Hydra; folders are on its search path already."""
    kept: list[str] = []
    skip = False
    for flag in flags:
        name, has_value, _ = flag.partition("=")
        if skip:
            skip = False
        elif name in ("-cd", "--config-dir", "-cp", "--config-path"):
            skip = not has_value
        else:
            kept.append(flag)
    return kept


@contextmanager
def _as_hydra_expects(arguments: Sequence[str]) -> Iterator[None]:
    """`sys.argv` with what Hydra is to read, and Hydra's errors raised whole rather than printed."""
    argv, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = ["shopkit", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def _complete(composer: Composer, arguments: Sequence[str]) -> int:
    """Shell completion: Hydra completes overrides after `shopkit run`, and the verbs before it are completed here."""
    from shopkit.cli import VERBS

    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    if any(argument.startswith("query=") for argument in arguments):
        is_verb_whole = len(words) > 2 or (len(words) == 2 and line.endswith(" "))
        if not is_verb_whole:
            print(" ".join(VERBS))
            return 0
        if words[1] != "run":
            return 0
        *whole, last = [*words[2:], ""] if line.endswith(" ") else words[2:]
        rewritten = [override.rewritten for override in composer.rewritten(word for word in whole if "=" in word)]
        os.environ["COMP_LINE"] = " ".join([words[0], *rewritten, last])
    return _hydra(composer, arguments)
