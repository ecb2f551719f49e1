"""A recurrent layer that padding does not change, in torch and as one operator of ONNX."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}
GATES = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}
"""torch's gates (i f g o; r z n) in the order of ONNX (i o f c; z r h)."""


class Recurrent(nn.Module):
    """(batch, length, n_in) and lengths (batch,) → (batch, length, n_out): state after each step, `n_out` = directions · hidden.

    The backward direction begins at each row's own last step. What is given beyond a row's length, and what is answered there,
    means nothing.
    """

    def __init__(self, cell: str, n_in: int, hidden: int, layers: int, bidirectional: bool, dropout: float) -> None:
        super().__init__()
        self.cell, self.hidden, self.n_directions = cell, hidden, 2 if bidirectional else 1
        widths = [n_in] + [self.n_directions * hidden] * (layers - 1)
        # Not torch's own two directions, which want packed rows: on the CPU, the gradient of these takes a time that grows as the
        # square of their length.
        self.rnns = nn.ModuleList(CELLS[cell](n, hidden, batch_first=True) for n in widths for _ in range(self.n_directions))
        """Layer by layer, forward before backward."""
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        places = torch.arange(x.shape[1], device=x.device)
        from_end = lengths.unsqueeze(1) - 1 - places  # (batch, length)
        turned = torch.where(from_end >= 0, from_end, places)
        for at in range(0, len(self.rnns), self.n_directions):
            x = self.dropout(x) if at else x
            states = self.rnns[at](x)[0]
            if self.n_directions == 2:
                back = self.rnns[at + 1](turn(x, turned))[0]
                states = torch.cat([states, turn(back, turned)], 2)
            x = states
        return x

    def for_export(self) -> OnnxRecurrent:
        return OnnxRecurrent(self)


def turn(x: Tensor, order: Tensor) -> Tensor:
    """The steps of each row (batch, length, width) in an order (batch, length) that, taken twice, changes nothing."""
    turned: Tensor = _Turn.apply(x, order)  # type: ignore[no-untyped-call]
    return turned


class _Turn(torch.autograd.Function):
    """The gradient is turned in the same way, which is quicker than adding it up at the places that were taken."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return x.gather(1, order.unsqueeze(2).expand_as(x))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        return gradient.gather(1, order.unsqueeze(2).expand_as(gradient)), None


class OnnxRecurrent(nn.Module):
    """The same as ONNX's own `LSTM` or `GRU`, which take the lengths. It can be traced for export only."""

    @torch.no_grad()
    def __init__(self, source: Recurrent) -> None:
        super().__init__()
        self.operator, self.hidden = source.cell.upper(), source.hidden
        self.n_directions = source.n_directions
        self.n_layers = len(source.rnns) // source.n_directions
        self.attributes: dict[str, Any] = {
            "hidden_size": source.hidden,
            "direction": "bidirectional" if source.n_directions == 2 else "forward",
        }
        if source.cell == "gru":
            self.attributes["linear_before_reset"] = 1  # as torch computes it
        weights = [dict(rnn.named_parameters()) for rnn in source.rnns]
        for layer in range(self.n_layers):
            ends = weights[layer * self.n_directions : (layer + 1) * self.n_directions]
            for name in ("weight_ih", "weight_hh"):
                self.register_buffer(f"{name}_{layer}", torch.stack([_reordered(end[f"{name}_l0"], source.cell) for end in ends]))
            biases = [[_reordered(end[f"{name}_l0"], source.cell) for name in ("bias_ih", "bias_hh")] for end in ends]
            self.register_buffer(f"bias_{layer}", torch.stack([torch.cat(pair) for pair in biases]))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        length, batch = x.shape[1], x.shape[0]
        steps = lengths.clamp(min=1).to(torch.int32)
        x = x.transpose(0, 1)  # (length, batch, n_in)
        for layer in range(self.n_layers):
            weights = [self.get_buffer(f"{name}_{layer}") for name in ("weight_ih", "weight_hh", "bias")]
            states, _ = torch.onnx.ops.symbolic_multi_out(
                self.operator,
                (x, *weights, steps),
                self.attributes,
                dtypes=(x.dtype, x.dtype),
                shapes=((length, self.n_directions, batch, self.hidden), (self.n_directions, batch, self.hidden)),
                version=21,
            )
            if self.n_directions == 1:
                x = states.squeeze(1)
            else:
                x = states.transpose(1, 2).reshape(length, batch, self.n_directions * self.hidden)
        return x.transpose(0, 1)


def _reordered(values: Tensor, cell: str) -> Tensor:
    gates = values.chunk(len(GATES[cell]))
    return torch.cat([gates[at] for at in GATES[cell]]).clone()
