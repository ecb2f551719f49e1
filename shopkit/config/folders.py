"""Where configuration files stand: the user's `./conf`, shopkit's own, and those of plugins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import shopkit
from shopkit.errors import ConfigError
from shopkit.registry import Registry


@dataclass(frozen=True)
class Folders:
    """The folders searched for YAML, the first find wins."""

    user: Path | None
    """`./conf` in the current directory, if there is one."""
    core: Path
    """shopkit's own."""
    plugins: tuple[Path, ...] = ()

    def __iter__(self) -> Iterator[Path]:
        if self.user is not None:
            yield self.user
        yield self.core
        yield from self.plugins

    @property
    def groups(self) -> set[str]:
        """Every config group that has a folder."""
        return {entry.name for folder in self for entry in folder.iterdir() if entry.is_dir()}

    def file(self, config: str) -> Path | None:
        """The file of a configuration such as `trainer/gpu`; None if no folder has it."""
        return next((path for folder in self if (path := folder / f"{config}.yaml").is_file()), None)

    def options(self, group: str) -> list[str]:
        """The options of a config group that are files."""
        return sorted({path.stem for folder in self for path in (folder / group).glob("*.yaml")})

    def experiments(self) -> dict[str, Path]:
        """Experiment name → its file."""
        found: dict[str, Path] = {}
        for folder in self:
            for path in sorted((folder / "experiment").glob("**/*.yaml")):
                found.setdefault(path.relative_to(folder / "experiment").with_suffix("").as_posix(), path)
        return dict(sorted(found.items()))


def find_folders(registry: Registry) -> Folders:
    """The configuration folders of this installation and the current directory."""
    core = core_folder()
    own = Path.cwd() / "conf"
    user = own if own.is_dir() and own.resolve() != core.resolve() else None
    return Folders(user, core, registry.config_paths)


def core_folder() -> Path:
    """shopkit's own `conf/`: inside the package in a wheel, beside it in an editable install.

    Raises:
        ConfigError: the installation has none.
    """
    package = Path(shopkit.__file__).parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise ConfigError(f"shopkit's configuration folder 'conf' is missing beside {package}. Install shopkit again.")


def summary(path: Path) -> str:
    """What an experiment is, in one line: the first comment of its file after the command and Hydra's header."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("# ").strip()
        if text and not text.startswith(("@package", "shopkit ")):
            return text
    return ""
