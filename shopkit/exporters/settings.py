"""Settings of the built-in exporters."""

from __future__ import annotations

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
    """Held-out rows that the file is compared on."""

    def __post_init__(self) -> None:
        for name in ("absolute_tolerance", "relative_tolerance"):
            if not 0 <= getattr(self, name) <= 0.1:
                raise ConfigError(f"exporter.{name} must lie between 0 and 0.1, got {getattr(self, name)}.")
        if self.check_rows < 1:
            raise ConfigError(f"exporter.check_rows must be at least 1, got {self.check_rows}.")
