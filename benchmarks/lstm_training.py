"""A step of learning of a bidirectional LSTM over texts: shopkit's, which turns rows, beside torch's own over packed rows.

    python benchmarks/lstm_training.py [--seconds 20] [--json FILE]

64 texts of half as many to as many tokens as is said, vectors of 128, states of 256 in each direction: forward and backward, all
states counting alike. Both have the same weights, and their gradients are compared first. Contestants take turns, each figure is
the median by the wall clock, on one thread.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from timing import medians, of_this_machine
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from shopkit.models.recurrent import Recurrent

N_ROWS, WIDTH, HIDDEN = 64, 128, 256
TOKENS = (20, 40, 80, 160)


def packed(rnn: nn.LSTM, x: Tensor, lengths: Tensor) -> Tensor:
    rows = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(rnn(rows)[0], batch_first=True)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of measuring, for each line")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    turned = Recurrent("lstm", WIDTH, HIDDEN, 1, True, 0.0)
    torch_s = nn.LSTM(WIDTH, HIDDEN, batch_first=True, bidirectional=True)
    for direction, rnn in zip(("", "_reverse"), turned.rnns, strict=True):
        for name, value in rnn.named_parameters():
            torch_s.get_parameter(name + direction).data = value.data
    figures: dict[str, dict[str, Any]] = {}
    for n_tokens in TOKENS:
        lengths = torch.randint(n_tokens // 2, n_tokens + 1, (N_ROWS,))
        lengths[0] = n_tokens
        inside = (torch.arange(n_tokens) < lengths.unsqueeze(1)).unsqueeze(2)
        x = torch.randn(N_ROWS, n_tokens, WIDTH, requires_grad=True)

        def learnt(states: Tensor, x: Tensor = x, inside: Tensor = inside) -> Tensor:
            x.grad = None
            (states * inside).square().mean().backward()
            assert x.grad is not None
            return x.grad

        contestants = {
            "torch": lambda x=x, lengths=lengths: learnt(packed(torch_s, x, lengths)),
            "shopkit": lambda x=x, lengths=lengths: learnt(turned(x, lengths)),
        }
        torch.testing.assert_close(contestants["shopkit"](), contestants["torch"]())
        found = medians(contestants, arguments.seconds, spread := {}, warm_up=1)
        line = f"64 texts of up to {n_tokens} tokens"
        figures[line] = {**found, "times as fast": found["torch"] / found["shopkit"], "spread": spread}
        print(
            f"{line:32} {found['torch']:12.0f} µs {found['shopkit']:12.0f} µs {figures[line]['times as fast']:6.2f}×", flush=True
        )
    if arguments.json:
        machine = of_this_machine("shopkit", "torch")
        arguments.json.write_text(json.dumps({"microseconds": figures, "machine": machine}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
