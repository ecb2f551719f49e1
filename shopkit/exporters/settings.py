"""Settings of the built-in exporters."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shopkit.errors import ConfigError


@dataclass(frozen=True)
class OnnxSettings:
    """One .onnx file from raw columns to decision."""

    absolute_tolerance: float = 1e-5
    """Largest absolute difference between the file and the fitted model that counts as equal."""
    relative_tolerance: float = 1e-4
    """The same, relative to the fitted model's answer."""
    check_rows: int = 2048
    """Held-out rows that the file is compared on; of thousands of outputs, fewer."""

    def __post_init__(self) -> None:
        _require_tolerances(self)
        _require_rows(self, "check_rows")


@dataclass(frozen=True)
class OptimizedSettings(OnnxSettings):
    """The same file, optimised beforehand by ONNX Runtime: it loads faster, and answers as fast."""

    level: str = "extended"
    """`basic` uses operators of ONNX only, which every runtime has; `extended` also fused ones of ONNX Runtime (in Python, Node
    and the browser alike), which others lack."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.level not in ("basic", "extended"):
            raise ConfigError(f"level is '{self.level}'; it must be basic or extended.")


@dataclass(frozen=True)
class Int8Settings:
    """The model in 8-bit integers, for CPUs: smaller, and faster where matrix products take the time (BERT)."""

    mode: str = "dynamic"
    """`dynamic` measures activations as it goes; `static` fixes their range on training rows, which suits convolutions."""
    per_channel: bool = True
    """A scale for each output channel of a weight instead of one for all."""
    embeddings: bool = False
    """Embedding tables as well: no faster, but a file of a text encoder shrinks to less than half."""
    calibration_rows: int = 512
    """Training rows that `static` looks at, evenly spaced."""
    check_rows: int = 2048
    """Held-out rows that differences and quality are measured on."""
    max_loss: float = 0.005
    """Most that the task's first metric and the errors of its probabilities may lose; of errors in a unit of their own, relative
    to themselves. The file is refused if 19 of 20 resamples of the rows lose more; other metrics are reported."""
    max_difference: float = 0.1
    """Most that an output may differ on average, in standard deviations of the model's own answers. Above it the file is
    refused."""

    def __post_init__(self) -> None:
        if self.mode not in ("dynamic", "static"):
            raise ConfigError(f"mode is '{self.mode}'; it must be dynamic or static.")
        _require_rows(self, "calibration_rows", "check_rows")
        _require_limits(self)


@dataclass(frozen=True)
class Fp16Settings:
    """The model in 16-bit floats, for GPUs."""

    check_rows: int = 2048
    """Held-out rows that differences and quality are measured on."""
    max_loss: float = 0.002
    """Most that the task's first metric and the errors of its probabilities may lose; of errors in a unit of their own, relative
    to themselves. The file is refused if 19 of 20 resamples of the rows lose more; other metrics are reported."""
    max_difference: float = 0.1
    """Most that an output may differ on average, in standard deviations of the model's own answers. Above it the file is
    refused."""

    def __post_init__(self) -> None:
        _require_rows(self, "check_rows")
        _require_limits(self)


@dataclass(frozen=True)
class TritonSettings:
    """A model repository folder for NVIDIA Triton and other servers of the KServe protocol."""

    model_name: str = ""
    """Name of the model on the server, which is that of its folder; the experiment's if empty."""
    max_batch_size: int = 0
    """Most rows that the server may join into one batch; 0 leaves batches to the callers. Not of a file that takes options
    (`k`), which hold for all rows of a call."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"(\w[\w.-]*)?", self.model_name, re.ASCII):
            raise ConfigError(
                f"model_name is {self.model_name!r}; it names a folder: letters, digits, '_', '-' and '.', beginning "
                "with a letter, digit or '_'."
            )
        if self.max_batch_size < 0:
            raise ConfigError(f"max_batch_size must be at least 0, got {self.max_batch_size}.")


@dataclass(frozen=True)
class OpenVINOSettings(OnnxSettings):
    """The model as OpenVINO reads it, with features and decision beside it as ONNX: OpenVINO has no operators for text."""

    absolute_tolerance: float = 1e-4
    """Largest absolute difference that counts as equal, in full precision."""
    relative_tolerance: float = 1e-3
    """The same, relative to the fitted model's answer."""


@dataclass(frozen=True)
class WebSettings:
    """A folder with the file and a page that answers in the browser, without a server."""

    title: str = ""
    """Title of the page; the experiment's name if empty."""
    runtime: str = ""
    """Folder of an unpacked `onnxruntime-web` package (its `dist`); if empty, the pinned version is fetched once and cached."""


def _require_tolerances(settings: OnnxSettings) -> None:
    for name in ("absolute_tolerance", "relative_tolerance"):
        if not 0 <= getattr(settings, name) <= 0.1:
            raise ConfigError(f"{name} must lie between 0 and 0.1, got {getattr(settings, name)}.")


def _require_rows(settings: object, *names: str) -> None:
    for name in names:
        if getattr(settings, name) < 1:
            raise ConfigError(f"{name} must be at least 1, got {getattr(settings, name)}.")


def _require_limits(settings: Int8Settings | Fp16Settings) -> None:
    if not 0 <= settings.max_loss < 1:
        raise ConfigError(f"max_loss must lie between 0 and 1, got {settings.max_loss}.")
    if not 0 < settings.max_difference <= 10:
        raise ConfigError(f"max_difference must be above 0 and at most 10, got {settings.max_difference}.")
