"""Scores to honest probabilities: convex fits on the validation part, few parameters, in float64.

Platt, "Probabilistic outputs for support vector machines" (1999); Guo et al., "On calibration of modern neural networks"
(2017), there as temperature and vector scaling. The bias is always fitted, since class weights shift the prior.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shopkit.errors import DataError, RunError

RIDGE = 1.0
"""Pull of the scale towards 1, in units of one row's information: it keeps the scale finite on separable scores."""

LEAST_SCALE = 0.01
"""Below this a fit has found no use in the scores; a negative scale would turn the ranking round."""

ROUNDS, CLOSE = 100, 1e-6
"""Of finding the biases of absent classes: rounds at most, and the step at which they are found."""

LEAST_SHARE = 1e-9
"""Of a class, so that its logarithm is finite."""


def require_scores(scores: np.ndarray) -> None:
    """Refuse validation scores that no decision can be fitted on.

    Raises:
        DataError: there are none.
        RunError: some are NaN or infinite.
    """
    if len(scores) == 0:
        raise DataError(
            "The validation part has no rows, but calibration and threshold are fitted on it. Give it a share in split."
        )
    bad = int((~np.isfinite(scores).all(axis=1)).sum())
    if bad:
        raise RunError(
            f"The model's scores are NaN or infinite in {bad:,} of {len(scores):,} validation rows: training has diverged. "
            "Lower trainer.lr, or look for extreme values in the features."
        )


def fit_scaling(
    scores: np.ndarray, target: np.ndarray, weight: np.ndarray | None, prior: Sequence[float]
) -> tuple[float, np.ndarray]:
    """Scale a and biases b such that softmax(a·scores + b) is calibrated, by Newton's method.

    Args:
        scores: (N, K) float; for two classes (N, 1), the logit of class 1, the other's score being 0.
        target: int (N,) class index.
        weight: (N,) or None.
        prior: share of each class in training.

    Returns:
        The scale and the biases (K,): the weighted mean prediction of each class then equals its share, or that in training
        where the class is absent here. Without at least two classes the answer is scale 1 and no bias.
    """
    scores = np.asarray(scores, np.float64)
    if scores.shape[1] == 1:
        scale, bias = fit_scaling(np.hstack([np.zeros_like(scores), scores]), target, weight, prior)
        return scale, bias[1:] - bias[:1]
    n_classes = scores.shape[1]
    if weight is not None:
        used = weight > 0
        scores, target, weight = scores[used], target[used], weight[used]
    weight = np.ones(len(target)) if weight is None else np.asarray(weight, np.float64) / np.mean(weight)
    shares = np.bincount(target, weight, minlength=n_classes)
    present = np.flatnonzero(shares > 0)
    if len(present) < 2:
        return 1.0, np.zeros(n_classes)
    scale, found = _newton(scores[:, present], np.searchsorted(present, target), weight, fixed_scale=None)
    if scale < LEAST_SCALE:
        scale, found = _newton(scores[:, present], np.searchsorted(present, target), weight, fixed_scale=LEAST_SCALE)
    bias = np.zeros(n_classes)
    bias[present] = found
    absent = np.flatnonzero(shares == 0)
    wanted = np.maximum(np.asarray(prior, np.float64)[absent], LEAST_SHARE)
    for _ in range(ROUNDS if len(absent) else 0):
        share = np.average(_softmax(scale * scores + bias)[:, absent], axis=0, weights=weight)
        step = np.log(wanted) - np.log(np.maximum(share, LEAST_SHARE))
        bias[absent] += step
        if np.abs(step).max() < CLOSE:
            break
    return scale, bias


def _softmax(scores: np.ndarray) -> np.ndarray:
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _newton(scores: np.ndarray, target: np.ndarray, weight: np.ndarray, fixed_scale: float | None) -> tuple[float, np.ndarray]:
    """Minimise the cross-entropy over (scale, biases), the first class's bias held at 0."""
    n_classes = scores.shape[1]
    centre = scores.mean(axis=1, keepdims=True)
    scores = scores - centre
    onehot = np.eye(n_classes)[target]
    ridge = np.zeros(n_classes)
    ridge[0] = RIDGE
    parameters = np.zeros(n_classes)
    parameters[0] = 1.0 if fixed_scale is None else fixed_scale
    free = np.arange(n_classes) if fixed_scale is None else np.arange(1, n_classes)

    def evaluate(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        logits = parameters[0] * scores
        logits[:, 1:] += parameters[1:]
        logits -= logits.max(axis=1, keepdims=True)
        log_normaliser = np.log(np.exp(logits).sum(axis=1))
        loss = weight @ (log_normaliser - (onehot * logits).sum(axis=1))
        loss += 0.5 * ridge[0] * (parameters[0] - 1) ** 2
        return float(loss), np.exp(logits - log_normaliser[:, None])

    loss, probability = evaluate(parameters)
    for _ in range(100):
        residual = (probability - onehot) * weight[:, None]
        gradient = np.append((residual * scores).sum(), residual[:, 1:].sum(axis=0))
        gradient[0] += ridge[0] * (parameters[0] - 1)
        mean_score = (probability * scores).sum(axis=1, keepdims=True)
        hessian = np.empty((n_classes, n_classes))
        hessian[0, 0] = weight @ ((probability * (scores - mean_score) ** 2).sum(axis=1)) + ridge[0]
        hessian[0, 1:] = hessian[1:, 0] = weight @ (probability[:, 1:] * (scores[:, 1:] - mean_score))
        weighted = probability[:, 1:] * weight[:, None]
        hessian[1:, 1:] = np.diag(weighted.sum(axis=0)) - weighted.T @ probability[:, 1:]
        step = np.zeros(n_classes)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)] + 1e-9 * np.eye(len(free)), gradient[free])
        size = 1.0
        while size > 1e-8:
            new_loss, new_probability = evaluate(parameters - size * step)
            if new_loss <= loss:
                break
            size /= 2
        else:
            break
        parameters = parameters - size * step
        improved, loss, probability = loss - new_loss, new_loss, new_probability
        if improved <= 1e-12 * max(1.0, abs(loss)):
            break
    return float(parameters[0]), np.append(0.0, parameters[1:])
