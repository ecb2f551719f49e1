"""The experiment file: every choice with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shopkit.starter.look import Look
from shopkit.starter.propose import Proposal


def text(name: str, look: Look, proposal: Proposal, split: str, split_why: str) -> str:
    """The YAML of an experiment."""
    return "\n".join(_lines(name, look, proposal, split, split_why)) + "\n"


def _lines(name: str, look: Look, proposal: Proposal, split: str, split_why: str) -> Iterator[str]:
    target = look.target
    yield "# @package _global_"
    yield f"# shopkit run +experiment={name}"
    yield f"# What will {one_line(target.name)} be? {one_line(look.path)}, {look.n_rows:,} rows."
    if target.n_present < look.n_rows:
        yield f"# {look.n_rows - target.n_present:,} rows lack the target, and are left out."
    yield "defaults:"
    yield "  - override /source: files"
    yield "  - override /view: table"
    yield f"  - override /split: {split}  # {one_line(split_why)}"
    yield "  - override /model: mlp  # linear is quicker"
    yield f"  - override /task: {proposal.task}  # {one_line(proposal.task_why)}"
    yield ""
    yield f"name: {name}"
    yield ""
    yield "source:"
    yield f"  path: {scalar(look.path)}"
    for key, value in look.source.items():
        yield f"  {key}: {scalar(value)}  # {one_line(look.reasons[key])}"
    yield ""
    yield "view:"
    yield f"  target: {scalar(target.name)}"
    if proposal.keys:
        ((key, why),) = proposal.keys.items()
        yield f"  keys: [{scalar(key)}]  # {one_line(why)}"
    if proposal.time:
        yield f"  time: {scalar(proposal.time)}  # {one_line(proposal.time_why)}"
    if proposal.group:
        yield f"  group: {scalar(proposal.group)}  # {one_line(proposal.group_why)}"
    if proposal.target_scale:
        yield ""
        yield "task:"
        yield f"  target_scale: log1p  # {one_line(proposal.target_scale)}"
    if proposal.types or proposal.ignore:
        yield ""
        yield "features:"
        yield from _mapped("types", {column: ("string", why) for column, why in proposal.types.items()})
        if proposal.ignore:
            yield "  ignore:"
            yield from (f"    - {scalar(column)}  # {one_line(why)}" for column, why in proposal.ignore.items())
    yield ""
    yield "# What was seen (missing, distinct):"
    wide = max(len(one_line(column.name)) for column in look.columns)
    for column in look.columns:
        note = f"; {one_line(proposal.watch[column.name])}" if column.name in proposal.watch else ""
        missing = 1 - column.n_present / look.n_rows
        shown = one_line(column.name)
        yield f"#   {shown:{wide}}  {column.raw.dtype.lower():10} {missing:6.1%} {column.n_distinct:9,}{note}"


def _mapped(name: str, columns: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    if columns:
        yield f"  {name}:"
        yield from (f"    {scalar(column)}: {value}  # {one_line(why)}" for column, (value, why) in columns.items())


def scalar(value: Any) -> str:
    """A value as YAML on one line, safe from OmegaConf's interpolation."""
    import yaml  # type: ignore[import-untyped]

    escaped = value.replace("${", "\\${") if isinstance(value, str) else value
    return str(yaml.safe_dump(escaped, default_flow_style=True, allow_unicode=True, width=10_000)).removesuffix("...\n").strip()


def one_line(text: str) -> str:
    """Text that stands in a comment."""
    return " ".join(str(text).split())
