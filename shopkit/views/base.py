"""The contract of a view."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import ibis.expr.types as ir

from shopkit.contract.settings import ContractSettings
from shopkit.schema import Kind, Role
from shopkit.sources.base import Tables

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Parts:
    """A table that can be computed a part at a time. Its rows stand in no order that counts."""

    whole: ir.Table
    within: Callable[[int], Sequence[ir.Table]]
    """Given bytes, the parts."""


@dataclass(frozen=True)
class OnlySplit:
    """The one split that fits examples of which some repeat what others hold: cut in another way, they would train on what is
    tested."""

    name: str
    settings: Mapping[str, str]
    """Those it must have."""
    otherwise: str = ""
    """What to set in the view for another split: a sentence."""

    def refused(self, name: str, settings: Any) -> str:
        """Why a chosen split does not fit, with what to do; empty if it does."""
        found = {key: str(getattr(settings, key, "")) for key in self.settings}
        if name == self.name and found == self.settings:
            return ""
        wanted = " ".join([f"split={self.name}", *(f"split.{key}={value}" for key, value in self.settings.items())])
        given = " ".join([f"split={name}", *(f"split.{key}={value}" for key, value in found.items() if name == self.name)])
        return (
            f"its rows hold what other rows hold as well, and only {wanted} keeps parts apart; the configuration has {given}. "
            f"Set the former. {self.otherwise}".rstrip()
        )


@dataclass(frozen=True)
class Examples:
    """One row per decision, as a lazy ibis table, and what its columns are for.

    Column kinds are inferred from the engine's types by `shopkit.views.infer`; `kinds` overrides.
    """

    table: ir.Table
    roles: Mapping[str, Role] = field(default_factory=dict)
    """Column → role; columns not named are features."""
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, ir.IntegerScalar] = field(default_factory=dict)
    """Reason → number of examples left out for it, as lazy counts."""
    cutoff: str | None = None
    """Name of the time column at or past which no feature may look, if the view has one."""
    parts: Parts | None = None
    """How to compute the table in little memory; None where there is one way."""
    split: OnlySplit | None = None
    """The split that alone fits; None where any does."""
    summary: str = ""
    """One sentence for the report: what one row is and what the target means."""

    def tables(self, memory: int) -> Sequence[ir.Table]:
        """Tables that together are `table`, each to be computed in about so many bytes; the whole where there are no parts of it,
        as in a view that adds to the table of another."""
        if self.parts is None or self.parts.whole is not self.table:
            return [self.table]
        return self.parts.within(memory)


class View(ABC):
    """Built as `Class(settings)`."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def examples(self, tables: Tables) -> Examples:
        """The recipe. Must be one ibis expression that compiles for DuckDB and for Spark.

        Raises:
            DataError: a table or column that is missing or of another type.
        """

    def contract(self) -> ContractSettings:
        """What its examples must hold, beyond unique keys and no times in the future; an experiment may add to it."""
        return ContractSettings()

    @classmethod
    def example(cls, settings: Any) -> tuple[Self, Mapping[str, pd.DataFrame]] | None:
        """A view and small raw tables that it makes some hundred examples of, for the conformance suite; None if it has none."""
        return None
