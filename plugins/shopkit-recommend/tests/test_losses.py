import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit_recommend.models import losses
from shopkit_recommend.models.losses import bpr, fast_dtype, full_softmax, gbce, sampled_logits, sampled_softmax


def drawn(n: int, n_items: int, dim: int = 5, seed: int = 0) -> tuple[torch.Tensor, ...]:
    make = torch.Generator().manual_seed(seed)
    hidden, items = (torch.randn(k, dim, generator=make, dtype=torch.double, requires_grad=True) for k in (n, n_items))
    target = torch.randint(0, n_items, (n,), generator=make)
    return hidden, items, target, torch.rand(n, generator=make, dtype=torch.double) + 0.1


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_full_softmax_is_cross_entropy_with_its_gradient(n: int, n_items: int, seed: int) -> None:
    hidden, items, target, weight = drawn(n, n_items, seed=seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "CHUNK_ELEMENTS", 1)  # several chunks
        found = full_softmax(hidden, items, target, weight, torch.double)
    expected = (F.cross_entropy(hidden @ items.T, target, reduction="none") * weight).sum() / weight.sum()
    torch.testing.assert_close(found, expected)
    for mine, truth in zip(*(torch.autograd.grad(loss * 3, (hidden, items)) for loss in (found, expected)), strict=True):
        torch.testing.assert_close(mine, truth)


def test_full_softmax_in_bfloat16_is_near() -> None:
    hidden, items, target, weight = (x.float() if x.is_floating_point() else x for x in drawn(300, 1000, 64))
    hidden, items = (x.detach().requires_grad_() for x in (hidden, items * 0.2))
    near, exact = (full_softmax(hidden, items, target, weight, dtype) for dtype in (torch.bfloat16, torch.float32))
    assert abs(float(near.detach()) / float(exact.detach()) - 1) < 0.01
    for mine, truth in zip(*(torch.autograd.grad(loss, (hidden, items)) for loss in (near, exact)), strict=True):
        assert F.cosine_similarity(mine.flatten(), truth.flatten(), dim=0) > 0.999


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Of the logits, as they are made."""
    found: list[tuple[int, ...]] = []
    softmax = torch.ops.aten._softmax.out

    def watched(logits: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        found.append(tuple(logits.shape))
        return softmax(logits, *args, **kwargs)

    monkeypatch.setattr(torch.ops.aten._softmax, "out", watched)
    return found


def test_full_softmax_holds_no_more_than_a_chunk(shapes: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "CHUNK_ELEMENTS", 150 * 50)
    hidden, items, target, weight = drawn(250, 50)
    full_softmax(hidden, items, target, weight, torch.double).backward()
    assert shapes == [(128, 50), (128, 50)]


def test_full_softmax_multiplies_few_shapes(shapes: list[tuple[int, ...]]) -> None:
    # Kernels of every shape are kept for good: with those of any number of positions, memory grows as long as training goes on.
    hidden, items, target, weight = drawn(250, 50)
    for n in range(1, 251):
        full_softmax(hidden[:n], items, target[:n], weight[:n], torch.double)
    assert len(set(shapes)) == 4


def test_sampled_softmax_over_all_others_is_the_full_one() -> None:
    hidden, items, target, weight = drawn(6, 9)
    logits = hidden @ items.T
    right = logits.gather(1, target.unsqueeze(1))
    others = torch.stack([torch.cat([row[:t], row[t + 1 :]]) for row, t in zip(logits, target.tolist(), strict=True)])
    found = sampled_softmax(right, others, weight, 9)
    torch.testing.assert_close(found, full_softmax(hidden, items, target, weight, torch.double))


def test_a_right_item_that_is_drawn_counts_for_nothing() -> None:
    hidden, items, target, weight = drawn(4, 1)
    right, wrong = sampled_logits(hidden, items, target, 3)
    assert (wrong == -math.inf).all()
    torch.testing.assert_close(sampled_softmax(right, wrong, weight, 1), torch.zeros((), dtype=torch.double))
    torch.testing.assert_close(bpr(right, wrong, weight), torch.zeros((), dtype=torch.double))
    assert torch.isfinite(gbce(right, wrong, weight, 1, 0.75))


def test_gbce_without_calibration_is_binary_cross_entropy() -> None:
    hidden, items, target, weight = drawn(6, 50)
    right, wrong = sampled_logits(hidden, items, target, 4)
    truth = torch.cat([torch.ones_like(right), torch.zeros_like(wrong)], 1)
    logits = torch.cat([right, wrong.clamp_min(-60)], 1)
    plain = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(1)
    torch.testing.assert_close(gbce(right, wrong, weight, 50, 0.0), (plain * weight).sum() / weight.sum())


def test_gbce_fully_calibrated_takes_the_sampling_share_as_power() -> None:
    right, wrong = torch.zeros(1, 1, dtype=torch.double), torch.full((1, 10), -math.inf, dtype=torch.double)
    found = gbce(right, wrong, torch.ones(1, dtype=torch.double), 101, 1.0)
    torch.testing.assert_close(found, torch.tensor(0.1 * math.log(2) / 11, dtype=torch.double))


def test_fast_dtype_keeps_doubles() -> None:
    assert fast_dtype("auto", torch.zeros(1, dtype=torch.double)) == torch.double
    assert fast_dtype("float32", torch.zeros(1)) == torch.float32
    assert fast_dtype("bfloat16", torch.zeros(1)) == torch.bfloat16
