"""The rows of a folder that is to be predicted, as a source reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shopkit.component import FOLDER
from shopkit.errors import DataError
from shopkit.registry import Choice, Registry, load_registry
from shopkit.runtime import Predictor
from shopkit.sources.base import Source

if TYPE_CHECKING:
    import pyarrow as pa


def rows(artifact: Path, folder: Path) -> Iterator[pa.RecordBatch]:
    """Rows for an exported file, read by the source of its run; or, where that reads no folders, by the one installed that does.

    Args:
        artifact: a run's folder, or an exported file.

    Raises:
        DataError: no source reads it, or that cannot.
        ConfigError: the run's configuration is not one of this installation.
    """
    registry = load_registry()
    source: Source = registry.build(_of_run(artifact, registry) or _of_installation(folder, registry))
    return source.rows(folder, Predictor(artifact).inputs)


def _of_run(artifact: Path, registry: Registry) -> Choice | None:
    config = (artifact if artifact.is_dir() else artifact.parent) / "config.yaml"
    if not config.is_file():
        return None
    from shopkit.config import Composer

    chosen = Composer.of(registry).recompose(config).source
    return chosen if FOLDER in registry.get("sources", chosen.name).tags else None


def _of_installation(folder: Path, registry: Registry) -> Choice:
    names = [found.component.name for found in registry.components("sources") if FOLDER in found.component.tags]
    if len(names) != 1:
        which = f"the sources {', '.join(names)} read folders" if names else "no source that is installed reads folders"
        raise DataError(
            f"{folder} is a folder, and {which}. Give a CSV, TSV or Parquet file"
            + ("." if names else ", or install what reads it: pip install shopkit-vision for photographs.")
        )
    return registry.choice("sources", names[0])
