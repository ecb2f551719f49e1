"""`shopkit doctor`: what is installed, what works, what is missing for what."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from shopkit import __version__
from shopkit.cli.console import Parser, print_table
from shopkit.config.folders import find_folders
from shopkit.registry import Registry, load_registry

_USES = {
    "cpu": "running an exported file",
    "gpu": "running an exported file, on CUDA where there is one",
    "train": "shopkit run, report and compare",
    "demo": "the completejourney data",
    "tensorboard": "logger=tensorboard",
    "spark": "views on Spark",
    "dev": "working on shopkit itself",
}
"""Extra → what cannot be done without it."""


def main(arguments: Sequence[str]) -> int:
    Parser("doctor", "Check the installation: versions, devices, ONNX Runtime providers, what is missing for what.").parse(
        arguments
    )
    registry = load_registry()
    problems = [*_problems(registry)]
    print_table(("What", "Found"), [*_machine(), *_runtime(), *_torch(), *_folders(registry)])
    print()
    print_table(("Extra", "For", "State"), [*_extras()])
    print()
    print_table(("Plugin", "Version", "Components"), [*_plugins(registry)])
    for failure in registry.failures:
        print(f"\nPlugin {failure}")
        if failure.traceback:
            print("  " + failure.traceback.strip().replace("\n", "\n  "))
    for problem in problems:
        print(f"\nProblem: {problem}")
    if not problems:
        print("\nNo problems found.")
    return 1 if problems else 0


def _machine() -> Iterator[tuple[str, str]]:
    yield "shopkit", f"{__version__} in {Path(__file__).parents[1]}"
    yield "Python", f"{platform.python_version()} in {sys.prefix}"
    yield "machine", f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"


def _runtime() -> Iterator[tuple[str, str]]:
    wheels = [f"{name} {version}" for name in ("onnxruntime", "onnxruntime-gpu") if (version := _version(name))]
    if not wheels:
        yield "ONNX Runtime", "not installed"
        return
    yield "ONNX Runtime", ", ".join(wheels)
    try:
        import onnxruntime
    except ImportError as error:
        yield "providers", f"onnxruntime cannot be imported: {error}"
        return
    yield "providers", ", ".join(onnxruntime.get_available_providers())


def _torch() -> Iterator[tuple[str, str]]:
    if not _version("torch"):
        yield "torch", "not installed"
        return
    try:
        import torch
    except (ImportError, OSError) as error:
        yield "torch", f"cannot be imported: {error}"
        return
    yield "torch", torch.__version__
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [f"cuda:{index} ({torch.cuda.get_device_name(index)})" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    yield "devices", ", ".join(devices)


def _folders(registry: Registry) -> Iterator[tuple[str, str]]:
    folders = find_folders(registry)
    yield "conf, yours", str(folders.user or "none in the current directory")
    yield "conf, shopkit's", str(folders.core)
    for path in folders.plugins:
        yield "conf, a plugin's", str(path)


def _extras() -> Iterator[tuple[str, str, str]]:
    needed: dict[str, list[str]] = {}
    for requirement in _requirements():
        package = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", requirement)
        if package and extra:
            needed.setdefault(extra[1], []).append(package[0])
    for name, packages in needed.items():
        missing = [package for package in packages if not _version(package)]
        other = {"cpu": "onnxruntime-gpu", "gpu": "onnxruntime"}.get(name, "")
        if not missing:
            state = "complete"
        elif other and _version(other):
            state = f"not installed, and not to be installed beside {other}"
        else:
            state = f'missing {", ".join(missing)}: pip install "shopkit[{name}]"'
        yield name, _USES.get(name, ""), state


def _plugins(registry: Registry) -> Iterator[tuple[str, str, str]]:
    for origin in registry.plugins:
        count = sum(
            (found.plugin, found.distribution) == (origin.plugin, origin.distribution)
            for family in registry.families.values()
            for found in family.values()
        )
        yield f"{origin.distribution} ({origin.plugin})", origin.version, str(count)


def _problems(registry: Registry) -> Iterator[str]:
    if _version("onnxruntime") and _version("onnxruntime-gpu"):
        yield (
            "both onnxruntime and onnxruntime-gpu are installed. They overwrite each other, and the CUDA provider vanishes "
            "without an error. Keep one: pip uninstall -y onnxruntime onnxruntime-gpu, then pip install onnxruntime-gpu "
            "(it runs on the CPU too)."
        )
    elif not _version("onnxruntime") and not _version("onnxruntime-gpu"):
        yield 'no ONNX Runtime is installed: pip install "shopkit[cpu]", or "shopkit[gpu]" on a machine with CUDA.'
    if registry.failures:
        yield f"{len(registry.failures)} plugin(s) failed to load."


def _requirements() -> list[str]:
    try:
        return metadata.requires("shopkit") or []
    except metadata.PackageNotFoundError:
        return []


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
