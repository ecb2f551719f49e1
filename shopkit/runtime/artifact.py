"""An exported file: its self-description, and an ONNX Runtime session for it."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkit.errors import ArtifactError
from shopkit.schema import Schema

if TYPE_CHECKING:
    import onnxruntime as ort

FORMAT_VERSION = 1
METADATA_KEY = "shopkit"
"""The one metadata property, a JSON object, in which an exported file describes itself."""

INSTALL_HINT = 'Install it with: pip install "shopkit[cpu]"   (or "shopkit[gpu]" for NVIDIA cards, never both)'


@dataclass(frozen=True)
class Description:
    """What an exported file says of itself."""

    schema: Schema
    """All columns it knows: inputs (role `feature`) and the keys that are carried through."""
    inputs: dict[str, str]
    """Raw column → input name in the graph."""
    lengths: str
    """Name of the input int64 (N,) that takes the lengths of the rows' sequences; empty where there are none."""
    outputs: tuple[dict[str, Any], ...]
    """Name, dtype, meaning, unit and classes of each output."""
    options: tuple[dict[str, Any], ...]
    """What a caller may ask for beside the columns: name, input, dtype, shape, default and meaning of each."""
    facts: dict[str, Any]
    """The whole metadata object: experiment, task, threshold, versions, fingerprint, …"""

    @classmethod
    def from_json(cls, text: str, path: Path) -> Description:
        facts = json.loads(text)
        version = facts.get("format_version")
        if version != FORMAT_VERSION:
            raise ArtifactError(
                f"{path} has artifact format {version}, this shopkit reads format {FORMAT_VERSION}. "
                "Install the shopkit version it was made with, or export it again."
            )
        return cls(
            Schema.from_json(facts["schema"]),
            dict(facts["inputs"]),
            facts.get("lengths", ""),
            tuple(facts["outputs"]),
            tuple(facts.get("options", ())),
            facts,
        )


def runtime_clash() -> str:
    """The message about two ONNX Runtime wheels in one environment, or an empty string."""
    found = []
    for name in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    if len(found) < 2:
        return ""
    return (
        f"Both {found[0]} and {found[1]} are installed. They overwrite each other, so the CUDA provider vanishes in silence. "
        "Uninstall both, then install one: pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
    )


@functools.cache
def _warn_of_clash() -> None:
    if message := runtime_clash():
        warnings.warn(message, RuntimeWarning, stacklevel=3)


def open_session(model: str | Path | bytes, threads: int = 1, providers: Sequence[str] | None = None) -> ort.InferenceSession:
    """An ONNX Runtime session.

    One intra-op thread is the default: small models lose more to hand-overs than they gain.

    Raises:
        ArtifactError: onnxruntime is missing, there is no such file, or it is not a readable ONNX file.
    """
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise ArtifactError(f"onnxruntime is not installed, and exported files run on it. {INSTALL_HINT}") from error
    _warn_of_clash()
    if not isinstance(model, bytes):
        if not Path(model).is_file():
            raise ArtifactError(f"There is no file {model}.")
        model = str(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(model, options, providers=list(providers or ["CPUExecutionProvider"]))
    except Exception as error:  # onnxruntime's exception classes are private; every one of them means the same here
        name = "The model" if isinstance(model, bytes) else model
        reason = str(error).splitlines()[0]
        raise ArtifactError(
            f"{name} is not an ONNX file that onnxruntime can load: it may be truncated or damaged ({reason}). "
            "Copy it again, or export it again."
        ) from error


def describe(session: ort.InferenceSession, path: Path) -> Description:
    """The self-description of an exported file.

    Raises:
        ArtifactError: an ONNX file of another project, or of another format version.
    """
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ArtifactError(
            f"{path} is an ONNX file, but not one that shopkit exported (it has no '{METADATA_KEY}' metadata). "
            "Give a run folder or the model.onnx inside it."
        )
    return Description.from_json(text, path)
