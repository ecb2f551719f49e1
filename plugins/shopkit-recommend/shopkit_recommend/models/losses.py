"""Losses over a whole catalogue: the softmax over all items without ever holding its logits, and over sampled items.

Klenitskiy, Vasilev: Turning dross into gold loss: is BERT4Rec really better than SASRec? (2023) for the full softmax in sequence
models; Jean et al.: On using very large target vocabulary for neural machine translation (2015) for the sampled one; Petrov,
Macdonald: gSASRec: reducing overconfidence in sequential recommendation trained with negative sampling (2023) for gBCE.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from shopkit.tasks.base import mean_loss
from torch import Tensor

CHUNK_ELEMENTS = 2**23
"""Logits held at once: so many that products are efficient, so few that they stay in a processor's cache."""
EVEN_ROWS = 64
"""Positions are filled up to a multiple of this, with some that weigh nothing: for every shape of product in bfloat16, oneDNN
compiles code of half a megabyte, and keeps it."""


def fast_dtype(precision: str, like: Tensor) -> torch.dtype:
    """The type in which to multiply states by items: that of `like`, or bfloat16 where the device multiplies it natively.

    Args:
        precision: `auto`, `float32` (that of the states) or `bfloat16`.
    """
    if precision == "bfloat16" or (precision == "auto" and like.dtype == torch.float32 and _has_bfloat16(like.device)):
        return torch.bfloat16
    return like.dtype


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def full_softmax(hidden: Tensor, items: Tensor, target: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Mean weighted cross-entropy of the softmax over all items; 0 where no position weighs anything.

    The gradient is formed along with the loss, chunk by chunk in place of the logits: memory does not grow with positions ×
    items.

    Args:
        hidden: states (positions, dim).
        items: (n_items, dim).
        target: index of the right item, int64 (positions,).
        weight: (positions,).
        dtype: of the products and of the softmax; what is summed up over chunks is in the type of `items`.
    """
    loss: Tensor = _FullSoftmax.apply(hidden, items, target, weight, dtype)  # type: ignore[no-untyped-call]
    return loss


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, items: Tensor, target: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
        chunk = EVEN_ROWS * max(1, CHUNK_ELEMENTS // (EVEN_ROWS * len(items)))
        n, more = len(hidden), -len(hidden) % EVEN_ROWS
        states, table = F.pad(hidden.to(dtype), (0, 0, 0, more)), items.to(dtype)
        share = F.pad(weight / weight.sum().clamp(min=torch.finfo(weight.dtype).tiny), (0, more))
        target = F.pad(target, (0, more))
        d_hidden, d_items = hidden.new_empty(states.shape), torch.zeros_like(items)
        loss = hidden.new_zeros(())
        memory = torch.empty(min(chunk, len(states)), len(items), dtype=dtype, device=hidden.device)
        for start in range(0, len(states), chunk):
            rows = slice(start, start + chunk)
            state, of_row, right = states[rows], share[rows].unsqueeze(1), target[rows].unsqueeze(1)
            p = memory[: len(state)]  # (chunk, n_items): logits, then probabilities, then the gradient
            torch.mm(state, table.T, out=p)
            torch.ops.aten._softmax.out(p, 1, False, out=p)
            of_right = p.gather(1, right)
            loss -= (of_right.to(hidden.dtype).clamp_min(torch.finfo(hidden.dtype).tiny).log() * of_row).sum()
            p.scatter_(1, right, of_right - 1)
            d_hidden[rows] = (p @ table).to(hidden.dtype) * of_row
            d_items += p.T @ (state * of_row.to(dtype))
        ctx.save_for_backward(d_hidden[:n], d_items)
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_items = ctx.saved_tensors
        return d_hidden * gradient, d_items * gradient, None, None, None


def sampled_logits(hidden: Tensor, items: Tensor, target: Tensor, n_negatives: int) -> tuple[Tensor, Tensor]:
    """Logits of the right item (positions, 1), and of items drawn uniformly and shared by all positions (positions, n_negatives).

    Drawn on the device of the items. Where the right item is drawn, its logit is −∞.
    """
    negatives = torch.randint(len(items), (n_negatives,), device=items.device)
    right = (hidden * F.embedding(target, items)).sum(1, keepdim=True)
    wrong = hidden @ F.embedding(negatives, items).T
    return right, wrong.masked_fill(negatives == target.unsqueeze(1), -math.inf)


def sampled_softmax(right: Tensor, wrong: Tensor, weight: Tensor, n_items: int) -> Tensor:
    """Mean weighted cross-entropy of the softmax over the right item and sampled ones, which stand for all others.

    Args:
        right, wrong: as of `sampled_logits`.
    """
    stand_for = math.log(max(1, n_items - 1) / wrong.shape[1])
    logits = torch.cat([right, wrong + stand_for], 1)
    losses = torch.logsumexp(logits, 1) - right.squeeze(1)
    return mean_loss(losses, weight)


def gbce(right: Tensor, wrong: Tensor, weight: Tensor, n_items: int, calibration: float) -> Tensor:
    """Mean weighted generalised binary cross-entropy: the right item's probability is taken to the power β.

    Args:
        right, wrong: as of `sampled_logits`.
        calibration: t of the paper: 0 is plain binary cross-entropy, 1 undoes the overconfidence of sampling altogether.
    """
    share = min(1.0, wrong.shape[1] / max(1, n_items - 1))
    beta = share * (calibration * (1 - 1 / share) + 1 / share)
    losses = (F.softplus(wrong).sum(1) - beta * F.logsigmoid(right.squeeze(1))) / (wrong.shape[1] + 1)
    return mean_loss(losses, weight)


def bpr(right: Tensor, wrong: Tensor, weight: Tensor) -> Tensor:
    """Mean weighted −log of the probability that the right item stands above a sampled one (Rendle et al. 2009)."""
    losses = F.softplus(wrong - right).mean(1)
    return mean_loss(losses, weight)
