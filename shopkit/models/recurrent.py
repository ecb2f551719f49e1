"""A recurrent layer that padding does not change, in torch and as one operator of ONNX."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}
GATES = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}
"""torch's gates (i f g o; r z n) in the order of ONNX (i o f c; z r h)."""


class Recurrent(nn.Module):
    """(batch, length, n_in) and lengths (batch,) → (batch, length, n_out): state after each step, `n_out` = directions · hidden.

    The backward direction begins at each row's own last step. What is given beyond a row's length means nothing.
    """

    def __init__(self, cell: str, n_in: int, hidden: int, layers: int, bidirectional: bool, dropout: float) -> None:
        super().__init__()
        self.cell, self.hidden, self.bidirectional = cell, hidden, bidirectional
        self.rnn = CELLS[cell](
            n_in, hidden, layers, batch_first=True, bidirectional=bidirectional, dropout=dropout if layers > 1 else 0.0
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        if not self.bidirectional:
            # Reading forward, no step sees what comes after it: packing would only cost time.
            return self.rnn(x)[0]  # type: ignore[no-any-return]
        packed = pack_padded_sequence(x, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=x.shape[1])[0]

    def for_export(self) -> OnnxRecurrent:
        return OnnxRecurrent(self)


class OnnxRecurrent(nn.Module):
    """The same as ONNX's own `LSTM` or `GRU`, which take the lengths. It can be traced for export only."""

    @torch.no_grad()
    def __init__(self, source: Recurrent) -> None:
        super().__init__()
        self.operator, self.hidden = source.cell.upper(), source.hidden
        self.n_layers = source.rnn.num_layers
        self.n_directions = 2 if source.bidirectional else 1
        self.attributes: dict[str, Any] = {
            "hidden_size": source.hidden,
            "direction": "bidirectional" if source.bidirectional else "forward",
        }
        if source.cell == "gru":
            self.attributes["linear_before_reset"] = 1  # as torch computes it
        weights = dict(source.rnn.named_parameters())
        for layer in range(self.n_layers):
            ends = [f"_l{layer}{direction}" for direction in ("", "_reverse")[: self.n_directions]]
            for name in ("weight_ih", "weight_hh"):
                self.register_buffer(f"{name}_{layer}", torch.stack([_reordered(weights[name + e], source.cell) for e in ends]))
            biases = [[_reordered(weights[name + e], source.cell) for name in ("bias_ih", "bias_hh")] for e in ends]
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
