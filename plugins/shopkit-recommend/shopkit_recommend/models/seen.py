"""Items that stand in the history are not recommended: their scores become `SEEN`, in torch, in numpy and in a graph.

A history is all that a customer has: the steps that are read, and those before them that `features.max_length` leaves out.
"""

from __future__ import annotations

import numpy as np
import spox
import spox.opset.ai.onnx.v21 as op
import torch
from shopkit.features.base import FeatureBlock, FeatureSpec
from torch import Tensor

from shopkit_recommend.models.inputs import FIRST_ITEM

SEEN = -1e30
"""The score of what is not to be recommended: below all others, and finite."""


def seen_in(features: FeatureSpec, item: FeatureBlock) -> dict[str, int]:
    """Array → where the ids of the column of items stand in its last dimension."""
    return {"sequence_ids": item.start} | ({"rest_ids": features.rest.index(item)} if item.rest else {})


def mask_seen(scores: Tensor, ids: Tensor) -> Tensor:
    """Scores (batch, n_items) and ids of the history's items (batch, length), 0 missing, 1 unknown → scores."""
    seen = torch.where(ids >= FIRST_ITEM, SEEN, torch.inf).to(scores.dtype)
    # The smaller of score and SEEN, or of score and infinity where a step is no item.
    return scores.scatter_reduce(1, (ids - FIRST_ITEM).clamp(min=0), seen, "amin")


def mask_seen_rows(scores: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The same in numpy, in place."""
    rows, steps = np.nonzero(ids >= FIRST_ITEM)
    scores[rows, ids[rows, steps] - FIRST_ITEM] = SEEN
    return scores


def mask_seen_graph(scores: spox.Var, ids: spox.Var) -> spox.Var:
    """The same as nodes of a graph."""
    first = op.const(np.int64(FIRST_ITEM))
    seen = op.where(op.greater_or_equal(ids, first), op.const(np.float32(SEEN)), op.const(np.float32(np.inf)))
    places = op.max([op.sub(ids, first), op.const(np.int64(0))])
    return op.scatter_elements(scores, places, seen, axis=1, reduction="min")
