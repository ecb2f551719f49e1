"""Settings of the exporter. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from shopkit.errors import ConfigError
from shopkit.exporters.settings import OnnxSettings


@dataclass(frozen=True)
class ItemIndexSettings(OnnxSettings):
    """The file, and beside it two for large catalogues: customers as vectors, items as vectors with an approximate index."""

    k: int = 20
    """Length of the lists on which the index is compared with the exact search."""
    connectivity: int = 32
    """Neighbours of an item in the index (M of HNSW): more finds more and takes more memory."""
    expansion: int = 200
    """Items kept in view while the index is built and searched: more finds more and takes longer."""
    least_recall: float = 0.0
    """Share of the exact lists that the index must find, or the export fails; 0 only measures it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("k", "connectivity", "expansion"):
            if getattr(self, name) < 1:
                raise ConfigError(f"exporter.{name} is {getattr(self, name)}; it must be at least 1.")
        if not 0 <= self.least_recall <= 1:
            raise ConfigError(f"exporter.least_recall is {self.least_recall:g}; it must be from 0 to 1.")
