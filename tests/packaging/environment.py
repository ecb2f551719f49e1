"""Environments as strangers have them: the libraries of the test interpreter, and nothing of this repository."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Environment:
    """A virtual environment in which shopkit is not installed, with a folder outside the repository to work in."""

    python: Path
    here: Path

    def run(self, *arguments: str, expect: int = 0, cwd: Path | None = None) -> str:
        """`python -m …` → standard output; the exit code must be the expected one."""
        kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "SHOPKIT_PLUGINS")}
        done = subprocess.run(
            [str(self.python), "-m", *arguments],
            cwd=cwd or self.here,
            env={**kept, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == expect, f"{' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def install(self, *what: str) -> None:
        self.run("pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", *what)

    def uninstall(self, name: str) -> None:
        self.run("pip", "uninstall", "--quiet", "--yes", name)


def make_environment(folder: Path) -> Environment:
    """A fresh one.

    The test interpreter's packages are linked in one by one, so that no `.pth` file of an editable install puts the repository on
    the path, and nothing of shopkit is seen.
    """
    libraries = folder / "libraries"
    libraries.mkdir(parents=True)
    for site in dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))):
        for entry in Path(site).iterdir():
            is_ours = entry.name.startswith(("shopkit", "_editable", "__editable__")) or entry.suffix == ".pth"
            if not is_ours and not (libraries / entry.name).exists():
                (libraries / entry.name).symlink_to(entry)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    found = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True, check=True
    )
    (Path(found.stdout.strip()) / "libraries.pth").write_text(f"{libraries}\n", encoding="utf-8")
    here = folder / "here"
    here.mkdir()
    return Environment(python, here)


def build_wheel(project: Path, into: Path) -> Path:
    """A project's wheel."""
    before = set(into.glob("*.whl"))
    command = [
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--wheel-dir",
        str(into),
        str(project),
    ]
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = set(into.glob("*.whl")) - before
    return wheel
