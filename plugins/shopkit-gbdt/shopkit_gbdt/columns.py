"""Features side by side, as the libraries take them."""

from __future__ import annotations

import numpy as np


def side_by_side(features: dict[str, np.ndarray]) -> np.ndarray:
    """float32 (N, n_dense + n_ids): numbers, then ids, which float32 holds exactly up to 2²⁴."""
    return np.concatenate([np.asarray(features[name], np.float32) for name in ("dense", "ids") if name in features], axis=1)
