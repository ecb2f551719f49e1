"""What training has come to at the end of an epoch, in one file that is written whole or not at all.

The file is NumPy's `.npz`: plain arrays, and a JSON text that says how they hang together. It holds no pickle, as `torch.save`
would, and none is read.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shopkit.errors import RunError
from shopkit.runs import replacing

FILE = "checkpoint.npz"
_TREE = "tree"
_VIEWED = {torch.bfloat16: torch.int16}
"""Types that NumPy does not have, kept as others of the same width."""


@dataclass
class State:
    """Tensors and plain data only."""

    epoch: int = 0
    """Epochs finished."""
    finished: bool = False
    history: list[dict[str, float]] = field(default_factory=list)
    """A row for each epoch; see `FitResult.history`."""
    best_epoch: int = -1
    best_score: float = float("-inf")
    """The monitored metric of the best epoch, turned so that more is better."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """The model's weights at the best epoch."""
    model: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    average: dict[str, Any] = field(default_factory=dict)


def read(folder: Path) -> State:
    """The state in the folder, or a new one where there is none.

    Raises:
        RunError: the file cannot be read.
    """
    path = folder / FILE
    return State(**load(path)) if path.is_file() else State()


def write(folder: Path, state: State) -> None:
    save(folder / FILE, vars(state))


def save(path: Path, data: Mapping[str, Any]) -> None:
    """Write tensors, arrays and plain data, nested in dicts, lists and tuples."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_taken_apart(dict(data), arrays))
    arrays[_TREE] = np.frombuffer(text.encode(), np.uint8)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> dict[str, Any]:
    """What `save` wrote, tensors on the CPU.

    Raises:
        RunError: the file cannot be read, or holds a pickle.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            tree = json.loads(arrays[_TREE].tobytes())
            return dict(_put_together(tree, arrays))
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise RunError(f"The checkpoint {path} cannot be read. Delete it to train from the start. ({error})") from error


def _taken_apart(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Plain JSON: every container as `[kind, …]`, every tensor as `["tensor", name, dtype]`."""
    if isinstance(value, Tensor):
        name = f"t{len(arrays)}"
        plain = value.detach().cpu()
        arrays[name] = plain.view(_VIEWED.get(plain.dtype, plain.dtype)).numpy()
        return ["tensor", name, str(plain.dtype).removeprefix("torch.")]
    if isinstance(value, dict):
        return ["dict", [[_taken_apart(key, arrays), _taken_apart(item, arrays)] for key, item in value.items()]]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, [_taken_apart(item, arrays) for item in value]]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"A checkpoint holds tensors and plain data, got {type(value).__name__}.")


def _put_together(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if not isinstance(value, list):
        return value
    kind, content, *rest = value
    if kind == "tensor":
        return torch.from_numpy(arrays[content]).view(getattr(torch, rest[0]))
    if kind == "dict":
        return {_put_together(key, arrays): _put_together(item, arrays) for key, item in content}
    items = [_put_together(item, arrays) for item in content]
    return tuple(items) if kind == "tuple" else items
