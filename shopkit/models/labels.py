"""What the places of a model's parameters stand for, so that a later model finds them again (`Model.axes`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shopkit.features.base import FeatureBlock

RESERVED_IDS = ("missing", "unknown")


def block_labels(blocks: Sequence[FeatureBlock]) -> list[str]:
    """A name for each block, all different: a column may have several of one extractor."""
    names = [f"{block.column}/{block.extractor}" for block in blocks]
    return [f"{name}/{names[:at].count(name)}" for at, name in enumerate(names)]


def id_labels(blocks: Sequence[FeatureBlock], vocabularies: Mapping[str, Sequence[str]]) -> list[str]:
    """A name for each id of these blocks, one block after another: of its category, or its number where it has none."""
    labels: list[str] = []
    for label, block in zip(block_labels(blocks), blocks, strict=True):
        names = [*RESERVED_IDS, *(f"={category}" for category in vocabularies.get(block.column, ()))]
        if len(names) != block.cardinality:
            names = [f"{id_} of {block.cardinality}" for id_ in range(block.cardinality)]
        labels += [f"{label}/{name}" for name in names]
    return labels


def input_labels(dense: Sequence[FeatureBlock], ids: Sequence[FeatureBlock] = (), dim: int = 0) -> list[str]:
    """A name for each input of a layer: the numbers of the dense blocks, then each id's embedding of `dim` numbers."""
    numbers = [f"{label}/{b.width}/{at}" for label, b in zip(block_labels(dense), dense, strict=True) for at in range(b.width)]
    return [*numbers, *(f"{label}/{at}" for label in block_labels(ids) for at in range(dim))]
