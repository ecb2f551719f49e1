"""Augmentation rearranges, covers and blends; it makes nothing up."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit_vision.augment import blended, erased, moved, pasted


def images(batch: int, channels: int, height: int, width: int) -> torch.Tensor:
    return torch.arange(batch * channels * height * width).reshape(batch, channels, height, width)


def test_no_augmentation_changes_nothing() -> None:
    x = images(4, 3, 5, 6)
    assert torch.equal(moved(x, 0.0, False), x)
    assert torch.equal(erased(x.float(), 0.0), x.float())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(2, 9), st.integers(2, 9), st.floats(0, 0.5), st.booleans(), st.integers(0, 999))
def test_moved_pixels_come_from_the_same_image_and_channel(c: int, h: int, w: int, shift: float, flip: bool, seed: int) -> None:
    torch.manual_seed(seed)
    x = images(3, c, h, w)
    y = moved(x, shift, flip)
    assert y.shape == x.shape
    assert torch.equal(y // (h * w), x // (h * w))
    # Neighbours stay neighbours: a line moves as one, and its edge is continued.
    rows, columns = y % (h * w) // w, y % w
    assert int((rows[:, :, 1:] - rows[:, :, :-1]).unique().numel()) <= 2
    assert int(columns.diff(dim=3).abs().max()) <= 1
    most_rows, most_columns = round(shift * h), round(shift * w)
    assert int((rows[:, :, :, 0] - torch.arange(h)).abs().max()) <= most_rows
    if not flip:
        assert int((columns[:, :, 0] - torch.arange(w)).abs().max()) <= most_columns


def test_half_of_the_images_are_mirrored() -> None:
    torch.manual_seed(0)
    x = images(400, 1, 2, 5)
    y = moved(x, 0.0, True)
    mirrored = (y == x.flip(3)).all(3).all(2).all(1)
    assert torch.equal(y[~mirrored], x[~mirrored])
    assert 150 < int(mirrored.sum()) < 250


def test_a_rectangle_is_erased() -> None:
    torch.manual_seed(0)
    x = torch.full((300, 2, 20, 30), 9.0)
    changed = (erased(x, 0.5) != x).all(1)
    share = changed.float().mean((1, 2))
    assert 100 < int((share > 0).sum()) < 200
    assert float(share[share > 0].min()) > 0.005
    assert float(share.max()) < 0.5
    for image in changed[share > 0]:
        rows, columns = image.any(1), image.any(0)
        assert torch.equal(image, rows[:, None] & columns)


def test_blends_keep_their_proportion() -> None:
    torch.manual_seed(0)
    x = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    other = torch.tensor([1, 0])
    y, own = blended(x, other, 0.4)
    assert torch.allclose(y[0], 1 - own)
    y, own = pasted(x, other, 1.0)
    assert torch.allclose(y.mean((1, 2, 3)), torch.stack([1 - own, own]))
