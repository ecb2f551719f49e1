"""Nothing that a run writes, at work or complete, is a pickle or holds one."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import shopkit
from shopkit.runtime.pickles import is_pickle
from shopkit.stages import way
from tests.shop import TABLE, visits


def pickles_in(folder: Path) -> list[str]:
    """Every file, and every member of an archive, that is a pickle."""
    found = []
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        members = {str(path): content}
        if content[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                members |= {f"{path}/{name}": archive.read(name) for name in archive.namelist()}
        for name, data in members.items():
            if is_pickle(data) or name.endswith((".pkl", ".pickle", ".pt", ".joblib")):
                found.append(name)
            if data[:6] == b"\x93NUMPY":
                found += [name] if np.load(io.BytesIO(data), allow_pickle=False).dtype.hasobject else []
    return found


@pytest.mark.parametrize("model", ["mlp", "linear"])
def test_a_run(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = way.WORK["export"]

    def export(going: way.Way) -> object:
        shutil.copytree(going.run.path, tmp_path / "at work")  # with its checkpoint and feature arrays
        return exported(going)

    monkeypatch.setitem(way.WORK, "export", export)
    overrides = [*TABLE, f"model={model}", "evaluation.baselines=[]", "trainer.max_epochs=1"]
    run = shopkit.run(data=visits(200), overrides=overrides, folder=tmp_path / "run")
    assert list((tmp_path / "at work").rglob("*.npz"))
    assert pickles_in(tmp_path / "at work") == []
    assert pickles_in(run.path) == []


def test_the_check_finds_one(tmp_path: Path) -> None:
    import torch

    torch.save({"a": torch.ones(1)}, tmp_path / "x.bin")
    assert pickles_in(tmp_path) != []
