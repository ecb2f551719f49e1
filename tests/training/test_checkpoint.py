"""Checkpoints: plain arrays and JSON, never a pickle."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shopkit.errors import RunError
from shopkit.training import checkpoint
from shopkit.training.checkpoint import State, load, read, save, write


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other) and one == other


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    # An optimiser's state has numbers as keys, tuples, and tensors without a dimension.
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), betas=(0.9, 0.99), fused=True)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    half = torch.arange(3).to(torch.bfloat16)
    flags = {"n": half, "on": torch.tensor(True)}
    state = State(3, True, [{"epoch": 0, "lr": 1e-3}], 2, 0.75, dict(layer.state_dict()), flags, optimizer.state_dict())
    write(tmp_path, state)
    assert equal(vars(read(tmp_path)), vars(state))
    assert read(tmp_path / "nothing") == State()


def test_there_is_no_pickle_in_it(tmp_path: Path) -> None:
    write(tmp_path, State(model={"w": torch.ones(2)}))
    with zipfile.ZipFile(tmp_path / checkpoint.FILE) as archive:
        for name in archive.namelist():
            assert name.endswith(".npy")
            assert not np.load(archive.open(name), allow_pickle=False).dtype.hasobject


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("owned"),)


@pytest.mark.parametrize("kind", ["torch", "pickle", "npz of objects", "npz without a tree"])
def test_a_checkpoint_that_holds_a_pickle_is_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / checkpoint.FILE
    with path.open("wb") as stream:
        if kind == "torch":
            torch.save({"epoch": Evil()}, stream)
        elif kind == "pickle":
            pickle.dump(Evil(), stream)
        elif kind == "npz of objects":
            np.savez(stream, tree=np.array([Evil()], object))
        else:
            np.savez(stream, a=np.ones(2))
    with pytest.raises(RunError, match=r"checkpoint\.npz cannot be read\. Delete it to train from the start"):
        read(tmp_path)
    assert not (tmp_path / "owned").exists()


def test_only_tensors_and_plain_data_are_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="tensors and plain data, got P"):
        save(tmp_path / "x.npz", {"a": Path("b")})
    save(tmp_path / "x.npz", {"a": [None, (1, 2.5, "text")]})
    assert load(tmp_path / "x.npz") == {"a": [None, (1, 2.5, "text")]}
