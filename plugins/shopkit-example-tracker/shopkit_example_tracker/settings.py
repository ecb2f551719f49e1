"""Where the log is. A life-cycle plugin has no place in an experiment's configuration, so the environment says it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FILE_VARIABLE = "SHOPKIT_TRACKER_FILE"


@dataclass(frozen=True)
class TrackerSettings:
    """Settings of the run log."""

    file: str = "runs/tracker.jsonl"
    """The log, relative to where shopkit is started. Folders are made. Empty writes none."""

    @property
    def path(self) -> Path | None:
        return Path(self.file).expanduser() if self.file else None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> TrackerSettings:
        """`SHOPKIT_TRACKER_FILE`, or the default."""
        return cls(environment.get(FILE_VARIABLE, cls.file))
