"""What evaluation is given of one part of the split: plain arrays, row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Raw = Mapping[str, np.ndarray]
"""Canonical raw columns: name → (N,) float32/float64, object array of str, or int64."""

Outputs = dict[str, np.ndarray]
"""The named outputs of an exported file: name → (N,) or (N, n_classes)."""

Predict = Callable[[Raw], Outputs]
"""Raw columns → outputs, through the exported file."""


@dataclass(frozen=True)
class Part:
    """One part of the split (train, validation or test)."""

    raw: Raw
    """The plain feature columns, canonical."""
    target: np.ndarray
    """(N,) as the task encodes it."""
    outputs: Outputs = field(default_factory=dict)
    """What the exported file answers for `raw`; empty where it was not asked (the training part)."""
    weight: np.ndarray | None = None
    """(N,) sample weights; metrics are weighted by them."""
    groups: np.ndarray | None = None
    """(N,) who a row belongs to (customer); rows of one group are resampled together."""
    decisions: np.ndarray | None = None
    """(N,) the decision of its group that a row belongs to; None where a group is one."""
    keys: Raw = field(default_factory=dict)
    """The key columns; together they name a row."""
    cutoff: np.ndarray | None = None
    """(N,) int64 seconds UTC: the moment at or past which no column of the row may look."""
    sequences: Raw = field(default_factory=dict)
    """The sequence columns: object arrays (N,) of the rows' own arrays."""
    images: Raw = field(default_factory=dict)
    """The image columns: object arrays (N,) of uint8 (height, width, channels); left out of the training part."""

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """All that the exported file takes."""
        return {**self.raw, **self.sequences, **self.images}

    @property
    def within(self) -> np.ndarray | None:
        """What a task that measures within groups measures within: the decisions, or the groups."""
        return self.groups if self.decisions is None else self.decisions

    def __len__(self) -> int:
        return len(self.target)

    @classmethod
    def joined(cls, parts: Sequence[Part]) -> Part:
        """Their rows, end to end."""

        def join(values: Sequence[np.ndarray | None]) -> np.ndarray | None:
            known = [each for each in values if each is not None]
            return np.concatenate(known) if known else None

        def join_all(columns: Sequence[Raw]) -> dict[str, np.ndarray]:
            return {name: np.concatenate([each[name] for each in columns]) for name in columns[0]}

        if len(parts) == 1:
            return parts[0]
        return cls(
            raw=join_all([part.raw for part in parts]),
            target=np.concatenate([part.target for part in parts]),
            outputs=join_all([part.outputs for part in parts]),
            weight=join([part.weight for part in parts]),
            groups=join([part.groups for part in parts]),
            decisions=join([part.decisions for part in parts]),
            keys=join_all([part.keys for part in parts]),
            cutoff=join([part.cutoff for part in parts]),
            sequences=join_all([part.sequences for part in parts]),
            images=join_all([part.images for part in parts]),
        )

    def take(self, rows: np.ndarray) -> Part:
        """The given rows (indices or a boolean mask)."""

        def pick(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[rows]

        return Part(
            raw={name: values[rows] for name, values in self.raw.items()},
            target=self.target[rows],
            outputs={name: values[rows] for name, values in self.outputs.items()},
            weight=pick(self.weight),
            groups=pick(self.groups),
            decisions=pick(self.decisions),
            keys={name: values[rows] for name, values in self.keys.items()},
            cutoff=pick(self.cutoff),
            sequences={name: values[rows] for name, values in self.sequences.items()},
            images={name: values[rows] for name, values in self.images.items()},
        )
