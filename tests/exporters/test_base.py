"""What every exporter is given, and held to."""

from __future__ import annotations

from pathlib import Path

import pytest

from shopkit.errors import ExportError
from shopkit.exporters.base import Exported, Fitted, export_apart
from shopkit.exporters.onnx import OnnxExporter
from shopkit.exporters.settings import OnnxSettings
from tests.handmade import make_fitted


def test_an_export_stands_in_its_own_folder_whole(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "earlier.onnx").touch()
    exported = export_apart(OnnxExporter(OnnxSettings()), make_fitted(), tmp_path / "own")
    assert exported.path == tmp_path / "own" / "model.onnx"
    assert exported.files == [*(tmp_path / "own").iterdir()] == [exported.path]


def test_what_is_left_elsewhere_is_refused(tmp_path: Path) -> None:
    class Strays(OnnxExporter):
        def export(self, fitted: Fitted, folder: Path) -> Exported:
            return super().export(fitted, tmp_path)

    with pytest.raises(ExportError, match=r"Strays left .*model\.onnx, which is not in the folder that it was given"):
        export_apart(Strays(OnnxSettings()), make_fitted(), tmp_path / "own")
    assert not (tmp_path / "own").exists()
