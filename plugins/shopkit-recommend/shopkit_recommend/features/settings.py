"""Settings of the extractor. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class CatalogueSettings:
    """Nothing to set: the items are those that `task=next_item` recommends."""
