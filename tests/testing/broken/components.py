from __future__ import annotations

from dataclasses import dataclass, replace

from shopkit.component import Component
from tests.testing.broken.base import Broken


@dataclass
class Settings:
    depth: int = 3
    """Layers."""


@dataclass
class Undocumented:
    depth: int = 3


@dataclass
class WithoutDefault:
    depth: int
    """Layers."""


class NotAModel:
    """Something else."""


GOOD = Component("broken", Settings, f"{__name__}:NotAModel", "Broken on purpose")


def _broken(message: str, **changes: object) -> Broken:
    return Broken("models", replace(GOOD, **changes), message)  # type: ignore[arg-type]


BROKEN = {
    "check_component_name_is_plain": _broken("its name 'Broken-1' is not lower-case", name="Broken-1"),
    "check_component_summary_is_one_line": _broken(r"summary must be one line of at most 90", summary="It is broken."),
    "check_component_settings_build_with_defaults": _broken("its settings depth have no default", config=WithoutDefault),
    "check_component_settings_are_documented": _broken("its settings depth have no docstring", config=Undocumented),
    "check_component_target_is_of_its_family": _broken(r"NotAModel is not a shopkit\.models\.base\.Model"),
}
