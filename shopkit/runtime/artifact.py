"""An exported file: its self-description, and an ONNX Runtime session for it."""

from __future__ import annotations

import functools
import json
import re
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkit.errors import ArtifactError, ConfigError
from shopkit.runtime.blocks import Footprint
from shopkit.runtime.described import block_rows_of, check_graph, inputs_of, options_of, outputs_of, schema_of
from shopkit.runtime.manifest import check_manifest
from shopkit.runtime.safety import MAX_BYTES, check_model
from shopkit.schema import Schema

if TYPE_CHECKING:
    import onnxruntime as ort

Providers = Sequence[str | tuple[str, dict[str, Any]]]
"""Names of ONNX Runtime's execution providers, with their options if there are any; the preferred first."""

FORMAT_VERSION = 1
OLDEST_FORMAT = 1
"""The oldest format that is still read; see docs/compatibility.md."""
METADATA_KEY = "shopkit"
"""The one metadata property, a JSON object, in which an exported file describes itself."""

FOLDING_LIMIT = "optimization.constant_folding_max_output_size_in_bytes"
"""ONNX Runtime's setting, since 1.27: a constant that would be larger is not computed as a graph is loaded."""
FOLDED_BYTES = 256 << 20
"""Of all constants that are computed as a graph is loaded, beside 64 times its own size: weights are turned and widened then."""

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
    footprint: Footprint
    """What its rows take of memory."""
    facts: dict[str, Any]
    """The whole metadata object: experiment, task, threshold, versions, fingerprint, …"""

    @classmethod
    def from_json(cls, text: str, path: Path) -> Description:
        """
        Raises:
            ArtifactError: not the description of a file, or of a file of a format that is not read.
        """
        try:
            facts = json.loads(text)
            _check_format(facts.get("format_version"), path)
            block_rows_of(facts.get("block_rows", 0))  # of older files
            schema = schema_of(facts["schema"])
            inputs, outputs = inputs_of(facts["inputs"], schema), outputs_of(facts["outputs"])
            options, footprint = options_of(facts.get("options", [])), Footprint.from_facts(facts, schema)
            return cls(schema, inputs, str(facts.get("lengths", "")), outputs, options, footprint, facts)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            raise untrue(path, f"cannot be read ({reason})") from error

    def check(self, session: Any, path: Path) -> None:
        """Compare it with the graph that it describes.

        Args:
            session: an ONNX Runtime session, or what has the inputs and outputs of one.

        Raises:
            ArtifactError: an input or output that only one of the two knows, or that is of another type in each.
        """
        takes, gives = session.get_inputs(), session.get_outputs()
        try:
            check_graph(self.schema, self.inputs, self.lengths, self.outputs, self.options, takes, gives)
        except ValueError as error:
            raise untrue(path, f"does not fit its graph ({error})") from error


def untrue(path: Path, why: str) -> ArtifactError:
    """The error for a file that says something of itself which cannot be."""
    return ArtifactError(
        f"{path}: what the file says of itself {why}. It was damaged or changed: copy it again, or export it again."
    )


def _check_format(version: object, path: Path) -> None:
    if not isinstance(version, int) or not OLDEST_FORMAT <= version <= FORMAT_VERSION:
        is_newer = isinstance(version, int) and version > FORMAT_VERSION
        advice = "Install a newer shopkit: pip install -U shopkit." if is_newer else "Export it again with this shopkit."
        read = f"format {FORMAT_VERSION}" if OLDEST_FORMAT == FORMAT_VERSION else f"formats {OLDEST_FORMAT} to {FORMAT_VERSION}"
        raise ArtifactError(f"{path} has artifact format {version}, this shopkit reads {read}. {advice}")


def runtime_clash() -> str:
    """The message about two ONNX Runtime wheels in one environment, or an empty string."""
    from importlib import metadata

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
def _warn_of_clash(package: str) -> None:
    # A look into the folder spares nearly everyone the import of importlib.metadata, a fifth of a cold start.
    wheels = {path.name.split("-")[0] for path in Path(package).parents[1].glob("onnxruntime*")}
    if {"onnxruntime", "onnxruntime_gpu"} <= wheels and (message := runtime_clash()):
        warnings.warn(message, RuntimeWarning, stacklevel=3)


def open_session(model: str | Path | bytes, threads: int = 1, providers: Providers | None = None) -> ort.InferenceSession:
    """An ONNX Runtime session of a model that was checked first; see `shopkit.runtime.safety`.

    A file is read once: what was checked is what runs. One intra-op thread is the default: small models lose more to hand-overs
    than they gain; 0 is one for each core.

    Raises:
        ArtifactError: onnxruntime is missing, there is no such file, it is not a readable ONNX file, it is not as the manifest of
            its run says, or it is refused for what it holds; or a provider is not here, or does not start.
        ConfigError: not a number of threads.
    """
    if not isinstance(threads, int) or threads < 0:
        raise ConfigError(f"threads is {threads!r}; it must be a whole number, at least 1, or 0 for one on each core.")
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise ArtifactError(f"onnxruntime is not installed, and exported files run on it. {INSTALL_HINT}") from error
    _warn_of_clash(ort.__file__)
    wanted = [providers] if isinstance(providers, str) else list(providers or ["CPUExecutionProvider"])
    names = [provider if isinstance(provider, str) else provider[0] for provider in wanted]
    if strange := [provider for provider in names if provider not in ort.get_available_providers()]:
        raise ArtifactError(
            f"onnxruntime {ort.__version__} has no provider {strange[0]!r}. It has: {', '.join(ort.get_available_providers())}. "
            f"{INSTALL_HINT}"
        )
    name = "The model" if isinstance(model, bytes) else str(model)
    content = model if isinstance(model, bytes) else _read(Path(model))
    with nullcontext() if isinstance(model, bytes) else check_manifest(Path(model), content):
        n_foldable = check_model(content, name)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # every error is raised as well
        options.add_session_config_entry(FOLDING_LIMIT, str((FOLDED_BYTES + 64 * len(content)) // max(1, n_foldable)))
        try:
            session = ort.InferenceSession(content, options, providers=wanted)
        except Exception as error:  # onnxruntime's exception classes are private; every one of them means the same here
            raise ArtifactError(_refusal(name, str(error), ort.__version__)) from error
    # It goes on without, on the CPU, and says so to nobody.
    if idle := [provider for provider in names if provider not in session.get_providers()]:
        raise ArtifactError(
            f"{idle[0]} does not start here: onnxruntime {ort.__version__} finds no such device, or not its libraries. "
            "Install them, or leave the provider out."
        )
    return session


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ArtifactError(f"There is no file {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise ArtifactError(f"{path} has {path.stat().st_size:,} bytes; files of up to {MAX_BYTES:,} are loaded.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}.") from error


def _refusal(name: str, reason: str, version: str) -> str:
    """What ONNX Runtime says of a model, in a sentence that says what to do."""
    if found := re.search(r"No Op registered for (\w+) with domain_version of (\d+)|Fatal error: ([\w.]*):(\w+)\(", reason):
        operator = f"{found[1]} (operator set {found[2]})" if found[1] else f"{found[4]} of {found[3] or 'ai.onnx'}"
        return f"{name} uses the operator {operator}, which onnxruntime {version} does not have. Install a newer onnxruntime."
    if found := re.search(r"Opset (\d+) is under development.*?domain ([\w.]+) is till opset (\d+)", reason, re.DOTALL):
        return (
            f"{name} is written in operator set {found[1]} of {found[2]}; onnxruntime {version} reads up to {found[3]}. "
            "Install a newer onnxruntime."
        )
    if found := re.search(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)", reason):
        return (
            f"{name} is written in ONNX IR version {found[1]}; onnxruntime {version} reads up to {found[2]}. "
            "Install a newer onnxruntime."
        )
    return (
        f"{name} is not an ONNX file that onnxruntime can load: it may be truncated or damaged ({reason.splitlines()[0]}). "
        "Copy it again, or export it again."
    )


def describe(session: ort.InferenceSession, path: Path) -> Description:
    """The self-description of an exported file.

    Raises:
        ArtifactError: an ONNX file of another project, of another format version, or one whose description is damaged or
            of another graph.
    """
    try:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: its metadata is not text ({error}). It was damaged; copy it again.") from error
    if text is None:
        raise ArtifactError(
            f"{path} is an ONNX file, but not one that shopkit exported (it has no '{METADATA_KEY}' metadata). "
            "Give a run folder or the model.onnx inside it."
        )
    description = Description.from_json(text, path)
    description.check(session, path)
    return description
