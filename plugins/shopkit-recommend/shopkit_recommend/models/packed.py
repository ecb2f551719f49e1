"""Every step of a history as an example of its own: which item came next, without the padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from shopkit_recommend.models.inputs import FIRST_ITEM


@dataclass(frozen=True)
class NextSteps:
    """The steps of a batch whose next item is known."""

    real: Tensor
    """Which they are, bool (batch, length)."""
    item: Tensor
    """Index of the next item, int64 (steps,)."""
    weight: Tensor
    """float32 (steps,)."""


def next_steps(
    ids: Tensor, lengths: Tensor, target: Tensor, weight: Tensor | None, recency_weight: float = 1.0, repeat_weight: float = 1.0
) -> NextSteps:
    """What came next after each step; after the last one, the target.

    Args:
        ids: of the items, int64 (batch, length): 0 missing, 1 unknown, 2 + index.
        lengths: int64 (batch,).
        target: index of the item after the last step, int64 (batch,); below 0 where there is none.
        weight: of each row, (batch,).
        recency_weight: weight of a step relative to the one after it.
        repeat_weight: weight of a step whose next item stood in the row before.
    """
    place = torch.arange(ids.shape[1], device=ids.device)
    before_last = (lengths.unsqueeze(1) - 1) - place  # (batch, length): steps until the last
    following = torch.where(before_last == 0, target.unsqueeze(1) + FIRST_ITEM, F.pad(ids[:, 1:], (0, 1)))
    real = (before_last >= 0) & (following >= FIRST_ITEM)
    rows, steps = real.nonzero(as_tuple=True)
    item = following[rows, steps]
    of_step = torch.ones(len(item), device=ids.device)
    if recency_weight != 1:
        of_step = recency_weight ** before_last[rows, steps].to(of_step.dtype)
    if repeat_weight != 1:
        earlier = (ids[rows] == item.unsqueeze(1)) & (place <= steps.unsqueeze(1))
        of_step = torch.where(earlier.any(1), of_step * repeat_weight, of_step)
    if weight is not None:
        of_step = of_step * weight[rows]
    return NextSteps(real, item - FIRST_ITEM, of_step)
