"""Augmentation of a batch of images, as tensor operations on all of it at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

ERASED_SHARE = (0.02, 1 / 3)
"""Of an image's area that a random rectangle has (Zhong et al. 2020)."""
LARGEST_ASPECT = 3.3
"""Of that rectangle, either way."""


def moved(images: Tensor, shift: float, flip: bool) -> Tensor:
    """Each image moved by whole pixels, up to the share `shift` of its sides, and half of them mirrored left to right.

    (batch, channels, height, width) of any type → the same. What is moved in from outside continues the edge.
    """
    batch, _, height, width = images.shape
    rows = _places(batch, height, round(shift * height), images.device)
    columns = _places(batch, width, round(shift * width), images.device)
    if flip:
        mirrored = torch.rand(batch, 1, device=images.device) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    every = torch.arange(batch, device=images.device)
    # Channels last, as indices around a slice put it there.
    return images[every[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _places(batch: int, size: int, most: int, device: torch.device) -> Tensor:
    """Where each new pixel of a line comes from, int64 (batch, size)."""
    by = torch.randint(-most, most + 1, (batch, 1), device=device)
    return (torch.arange(size, device=device) + by).clamp(0, size - 1)


def erased(images: Tensor, share: float) -> Tensor:
    """A random rectangle of that share of the images becomes standard normal noise: images are normalised already."""
    batch, _, height, width = images.shape
    area = torch.empty(batch, 1, device=images.device).uniform_(*ERASED_SHARE)
    aspect = torch.empty(batch, 1, device=images.device).uniform_(-1, 1).mul(math.log(LARGEST_ASPECT)).exp()
    inside = _rectangle(height, width, (area * aspect).sqrt(), (area / aspect).sqrt())
    chosen = torch.rand(batch, 1, 1, 1, device=images.device) < share
    return torch.where(inside & chosen, torch.randn_like(images), images)


def _rectangle(height: int, width: int, tall: Tensor, wide: Tensor) -> Tensor:
    """Which pixels lie in a rectangle at a random place, of shares `tall` and `wide` (batch, 1) of the sides: bool
    (batch, 1, height, width)."""
    rows = _stretch(height, tall)
    return (rows[:, :, None] & _stretch(width, wide)[:, None, :]).unsqueeze(1)


def _stretch(size: int, share: Tensor) -> Tensor:
    long = (share * size).clamp(1, size)
    start = torch.rand_like(share) * (size - long)
    place = torch.arange(size, device=share.device) + 0.5
    return (place >= start) & (place < start + long)


def blended(images: Tensor, other: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018): images and those at `other`, in one proportion. → images, the share of their own."""
    own = _beta(alpha, images.device)
    return images * own + images[other] * (1 - own), own


def pasted(images: Tensor, other: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """CutMix (Yun et al. 2019): a rectangle of each image comes from the one at `other`. → images, the share of their own."""
    side = (1 - _beta(alpha, images.device)).sqrt().view(1, 1)
    inside = _rectangle(images.shape[2], images.shape[3], side, side)
    return torch.where(inside, images[other], images), 1 - inside.to(images.dtype).mean()


def _beta(alpha: float, device: torch.device) -> Tensor:
    # By two gamma draws, as those follow torch's seed on every device.
    draws = torch._standard_gamma(torch.full((2,), alpha, device=device))
    return draws[0] / draws.sum().clamp(min=1e-30)
