"""Features side by side, as the libraries take them."""

from __future__ import annotations

import numpy as np
from shopkit.features.tensors import FIXED, FeatureArrays


def side_by_side(features: FeatureArrays) -> np.ndarray:
    """float32 (N, n_dense + n_ids): numbers, then ids, which float32 holds exactly up to 2²⁴."""
    return np.concatenate([np.asarray(features[name], np.float32) for name in FIXED if name in features], axis=1)


def width(features: FeatureArrays) -> int:
    """How many columns that makes."""
    return sum(int(features[name].shape[1]) for name in FIXED if name in features)
