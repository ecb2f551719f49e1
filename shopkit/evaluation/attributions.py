"""What each part of a row adds to its score: integrated gradients (Sundararajan, Taly and Yan: Axiomatic attribution for deep
networks, 2017), for any torch model.

A row is compared with a reference in which nothing is known: its numbers 0, its texts, steps and pixels blank. Along the straight
line from one to the other the gradient of the score is integrated; what a place gets is its share of the way. The shares add up
to the difference of the two scores (completeness), which tells how well the integral was done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shopkit.models.base import Batch, Estimator, Model

STEPS = (16, 32, 64, 128)
"""Points at which the gradient is taken; more only for rows whose shares do not add up yet."""
TOLERANCE = 0.05
"""How far the shares may miss the difference of the scores, relative to it (to 1, where it is smaller)."""


@dataclass(frozen=True)
class Attributions:
    """What each place of each array adds to the score."""

    places: dict[str, np.ndarray]
    """Array → (N, …) in its own shape; of an image, summed over its channels."""
    score: np.ndarray
    """(N,) of the rows."""
    reference: np.ndarray
    """(N,) of their references: `reference` plus all shares is `score`."""

    @property
    def gap(self) -> np.ndarray:
        """How far the shares miss, (N,)."""
        total = sum(values.reshape(len(values), -1).sum(1) for values in self.places.values())
        return np.asarray(np.abs(self.score - self.reference - total))


Arrays = dict[str, np.ndarray]
Explain = Callable[[Arrays, Arrays, np.ndarray], Attributions | None]
"""Arrays of some rows, the same where nothing is known, and the direction (N, n_outputs) → shares; None if the model has none."""
Look = Callable[[Arrays], Arrays]
"""Arrays of some rows → how much the answer looks at each of the `tokens` (N, tokens) and `steps` (N, steps), where the model
weighs them."""


def explainer(model: Model | Estimator) -> tuple[str, Explain, Look]:
    """How a model's answers are explained, in words and as functions."""
    if isinstance(model, Estimator):
        return "exact", lambda *given: _exact(model, *given), lambda arrays: {}
    device = next(model.parameters()).device

    def batch(arrays: Arrays) -> Batch:
        return {name: torch.from_numpy(values.copy()).to(device) for name, values in arrays.items()}

    def explain(arrays: Arrays, blank: Arrays, direction: np.ndarray) -> Attributions:
        return integrated_gradients(model, batch(arrays), batch(blank), torch.from_numpy(direction).float().to(device))

    def look(arrays: Arrays) -> Arrays:
        with torch.no_grad(), _at_rest(model):
            found = {"tokens": model.attention(batch(arrays)), "steps": model.step_attention(batch(arrays))}
        return {name: _plain(weights) for name, weights in found.items() if weights is not None}

    return "integrated gradients", explain, look


def _exact(estimator: Estimator, arrays: Arrays, blank: Arrays, direction: np.ndarray) -> Attributions | None:
    places = estimator.contributions(arrays, direction)
    if places is None:
        return None
    scores = [estimator.scores(given).astype(np.float64) for given in (arrays, {**arrays, **blank})]
    return Attributions(places, *((of_rows * direction).sum(1) for of_rows in scores))


def integrated_gradients(
    model: Model, batch: Batch, reference: Batch, direction: Tensor, tolerance: float = TOLERANCE
) -> Attributions:
    """Shares of the score Σ direction · scores.

    Whole numbers (ids, tokens, pixels) enter at the modules that `model.entries` names; those it does not name stay as they are.

    Args:
        batch: N rows.
        reference: the same arrays, where nothing is known.
        direction: float (N, n_outputs).
    """
    entries = {name: module for name, module in model.entries().items() if name in batch}
    reference = {name: values for name, values in reference.items() if name in entries or values.is_floating_point()}
    with torch.no_grad(), _at_rest(model):
        actual, score = _entering(model, entries, batch, direction)
        blank, of_blank = _entering(model, entries, {**batch, **reference}, direction)
    change = {name: actual[name] - blank[name] for name in actual}
    places = {name: _by_place(torch.zeros_like(values), batch[name].shape) for name, values in change.items()}
    found = Attributions(places, _plain(score), _plain(of_blank))
    rows = np.arange(len(score) if change else 0)
    for n_steps in STEPS:
        if not len(rows):
            break
        given, start, way = ({name: values[rows] for name, values in of_all.items()} for of_all in (batch, blank, change))
        for name, shares in _shares(model, entries, given, start, way, direction[rows], n_steps).items():
            places[name][rows] = _by_place(shares, given[name].shape)
        rows = rows[found.gap[rows] > tolerance * np.maximum(np.abs(found.score - found.reference)[rows], 1.0)]
    return found


def _entering(model: Model, entries: Mapping[str, nn.Module], batch: Batch, direction: Tensor) -> tuple[Batch, Tensor]:
    """What goes on from the entries: numbers themselves, and the outputs of the named modules; and the score (N,)."""
    seen: dict[str, list[Tensor]] = {name: [] for name in entries}

    def watch(name: str) -> Any:
        return lambda module, args, output: seen[name].append(output.detach())

    with ExitStack() as stack:
        for name, module in entries.items():
            stack.enter_context(_hooked(module, watch(name)))
        score = (model(batch) * direction).sum(1)
    for name, outputs in seen.items():
        if len(outputs) != 1:
            raise TypeError(
                f"{type(model).__name__}.entries: the module of '{name}' was called {len(outputs)} times for one batch; it must "
                "be called once, so that its output stands for the array."
            )
    numbers = {name: values for name, values in batch.items() if values.is_floating_point() and name not in entries}
    return {**numbers, **{name: outputs[0] for name, outputs in seen.items()}}, score


def _shares(
    model: Model,
    entries: Mapping[str, nn.Module],
    batch: Batch,
    blank: Batch,
    change: Batch,
    direction: Tensor,
    n_steps: int,
) -> Batch:
    """Change times the mean gradient on the way, by Gauss–Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    total = {name: torch.zeros_like(values) for name, values in change.items()}
    with _at_rest(model), torch.backends.cudnn.flags(enabled=False):  # cuDNN's recurrent layers give no gradients at rest
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            points = {name: (blank[name] + node * change[name]).requires_grad_() for name in change}
            with torch.enable_grad(), ExitStack() as stack:
                for name, module in entries.items():
                    stack.enter_context(_hooked(module, lambda module, args, output, point=points[name]: point))
                numbers = {name: point for name, point in points.items() if name not in entries}
                score = (model({**batch, **numbers}) * direction).sum()
            names = list(points)
            for name, slope in zip(names, torch.autograd.grad(score, [points[n] for n in names], allow_unused=True), strict=True):
                if slope is not None:
                    total[name] += float(weight) * slope
    return {name: values * change[name] for name, values in total.items()}


def _by_place(values: Tensor, shape: torch.Size) -> np.ndarray:
    """Summed to one number for each place of the array, and of an image for each pixel."""
    by_place = values.reshape(*shape, -1).sum(-1)
    return _plain(by_place.sum(1) if len(shape) == 4 else by_place)


def _plain(values: Tensor) -> np.ndarray:
    return values.detach().double().cpu().numpy()


@contextmanager
def _hooked(module: nn.Module, hook: Any) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _at_rest(model: Model) -> Iterator[None]:
    """In eval mode, without gradients of the weights."""
    was_training, learns = model.training, [(p, p.requires_grad) for p in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        model.train(was_training)
        for parameter, needs in learns:
            parameter.requires_grad_(needs)
