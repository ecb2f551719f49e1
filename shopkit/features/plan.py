"""Which extractor reads which column: the user's word first, then what the model likes, by kind and cardinality."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import ibis.expr.types as ir

from shopkit.errors import ConfigError, DataError, nearest, with_article
from shopkit.features.aggregates import answers, counts, present
from shopkit.features.base import Extractor, FitContext
from shopkit.features.sequences import ALL_STEPS, Limit, steps_context
from shopkit.features.settings import FeaturePlan, parse_spec
from shopkit.features.tensors import READ_BY
from shopkit.registry import Registry
from shopkit.schema import Column, Schema
from shopkit.settings import plain

PREFERENCES = ("embedding", "dense", "codes")
MOSTLY = 0.5
FREQUENT = 20
"""Rows of a category from which on a model learns it by itself: a target rate there is drawn half-way to the mean."""
TEXT_CHARACTERS, TEXT_BLANKS = 20, 2
"""A column of at least so many characters and blanks a row is read as a text."""
SPACELESS_CHARACTERS = 10
"""The same where words are not parted by blanks."""
ENGLISH, SCRATCH = "minilm", "scratch"
"""Words of `wordpiece.vocabulary`: the encoder that reads English only, and what is learnt from the training part."""
SPACELESS_SCRIPTS = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Khmer}\p{Lao}\p{Myanmar}]"


@dataclass(frozen=True)
class ColumnFacts:
    """What the training part says of one column."""

    n_rows: int
    n_distinct: int
    """Distinct present values."""
    n_missing: int
    n_characters: float = 0.0
    """Of a present string, on average."""
    n_blanks: float = 0.0
    """In a present string, on average."""
    without_blanks: float = 0.0
    """Share of the present strings with letters of a script that puts no blanks between words."""
    has_frequent: bool = field(default=True, kw_only=True)
    """Whether a string has `FREQUENT` rows."""

    @property
    def is_text(self) -> bool:
        """Sentences, not names of things: long, mostly different, and of several words or in such a script."""
        n_present = self.n_rows - self.n_missing
        mostly_different = self.n_distinct >= MOSTLY * n_present > 0
        many_words = self.n_characters >= TEXT_CHARACTERS and self.n_blanks >= TEXT_BLANKS
        return mostly_different and (many_words or (self.spaceless and self.n_characters >= SPACELESS_CHARACTERS))

    @property
    def spaceless(self) -> bool:
        return self.without_blanks >= MOSTLY


@dataclass(frozen=True)
class Assignment:
    """One column and one extractor that reads it."""

    column: Column
    name: str
    """The extractor's name."""
    settings: Mapping[str, Any]
    """All its settings, as plain data."""
    extractor: Extractor
    why: str
    """Why this one, for the report."""

    def to_json(self) -> dict[str, Any]:
        return {
            "column": self.column.name,
            "kind": self.column.kind,
            "extractor": self.name,
            "settings": dict(self.settings),
            "why": self.why,
        }


@dataclass(frozen=True)
class ResolvedPlan:
    """Every feature column with its extractors, and the columns left out."""

    schema: Schema
    """The schema with `ignored` for the columns that are left out, each with a note why."""
    assignments: tuple[Assignment, ...]
    limit: Limit = ALL_STEPS
    """How many steps of a sequence are read."""

    def to_json(self) -> list[dict[str, Any]]:
        """`column, kind, extractor, settings, why`, a row for each."""
        return [assignment.to_json() for assignment in self.assignments]


class NoFeatureError(DataError):
    """The model is left without a feature column."""


def resolve(
    plan: FeaturePlan,
    schema: Schema,
    context: FitContext,
    preference: Collection[str],
    registry: Registry,
    leave_out_unread: bool = False,
    word_pieces: str = "",
) -> ResolvedPlan:
    """Extractors for every feature column. Of several for one column a model is given those it can read.

    Args:
        plan: the user's word.
        schema: the examples' columns.
        context: the training part.
        preference: the model's tags; `features:embedding` (ids and piecewise-linear numbers), `features:dense` (scaled
            numbers and one-hot) or `features:codes` (raw numbers with NaN, and ids) decides what `auto` means. Dense if none.
            Only a model with `features:sequences` is given sequence columns.
        registry: where extractors come from.
        leave_out_unread: leave out a column none of whose extractors the model can read, as baselines must.
        word_pieces: whose the model reads, in the words of `wordpiece.vocabulary`; empty if it learns to read any tokens.

    Raises:
        ConfigError: an unknown column, extractor or setting, an extractor that cannot read the column's kind, or a text that the
            model's encoder cannot read.
        NoFeatureError: no feature column is left.
    """
    schema = _without_ignored(plan, schema)
    if "features:sequences" not in preference:
        for column in schema.of_role("feature"):
            if column.sequence:
                schema = schema.with_role(column.name, "ignored", "a sequence, which this model does not read")
    known = facts(schema, context)
    likes = next((like for like in PREFERENCES if f"features:{like}" in preference), "dense")
    assignments: list[Assignment] = []
    for column in schema.of_role("feature"):
        found = known[column.name]
        chosen = column.name in plan.columns
        if found.n_distinct == 0 or (found.n_distinct == 1 and found.n_missing == 0 and not chosen):
            note = "every training value is missing" if found.n_distinct == 0 else "constant in the training part"
            schema = schema.with_role(column.name, "ignored", note)
            continue
        by_kind = {"number": plan.numbers, "string": plan.strings, "time": plan.times, "image": plan.images}[column.kind]
        spec = plan.columns.get(column.name, "auto" if column.sequence else by_kind)
        if spec == "auto" and column.kind == "image":
            where, (spec, why) = "features", of_image("features:images" in preference)
        elif spec == "auto" and column.kind == "string" and not column.sequence and found.is_text:
            where, (spec, why) = "features", of_text(found, "features:tokens" in preference, word_pieces)
            if found.spaceless and word_pieces == ENGLISH:
                raise ConfigError(
                    f"Column '{column.name}' is {why}, and model.encoder={ENGLISH} reads English. Take model.encoder=scratch, "
                    "which learns to read from the training part, or the folder of an encoder of this language."
                )
            if not {"features:bags", "features:tokens"} & set(preference):
                schema = schema.with_role(column.name, "ignored", f"{why}, which this model does not read")
                continue
        elif spec == "auto":
            if column.kind == "string" and not column.sequence and likes == "dense" and found.n_distinct > plan.max_one_hot:
                frequent, _ = counts(column.name, context, FREQUENT, 2)
                found = replace(found, has_frequent=any(frequent != ""))
            where, (spec, why) = "features", automatic(column, found, plan, likes)
        elif chosen:
            where, why = f"features.columns.{column.name}", "chosen for this column"
        else:
            where, why = f"features.{column.kind}s", f"chosen for {column.kind} columns"
        found_for = [_assign(column, name, settings, why, where, registry) for name, settings in parse_spec(spec, where)]
        read = [one for one in found_for if READ_BY.get(one.extractor.gives or "", "") in ("", *preference)]
        if not read and leave_out_unread:
            schema = schema.with_role(
                column.name, "ignored", f"made {found_for[0].extractor.gives}, which this model does not read"
            )
        assignments += read if read or leave_out_unread else found_for
    if not assignments:
        raise NoFeatureError(
            "No feature column is left: every column is a key, the target, ignored, constant or missing throughout. "
            f"Columns: {', '.join(f'{column.name} ({column.note or column.role})' for column in schema)}."
        )
    return ResolvedPlan(schema, tuple(assignments), Limit(plan.max_length, plan.keep))


def automatic(column: Column, found: ColumnFacts, plan: FeaturePlan, likes: str) -> tuple[Any, str]:
    """The spec that `auto` stands for, and why."""
    if column.kind == "time":
        return "time_parts", "time"
    n = found.n_distinct
    if column.sequence:
        if column.kind == "string":
            return "vocabulary", f"a sequence of {n:,} categories"
        return "log1p", f"a sequence of numbers, {n:,} distinct"
    if column.kind == "string":
        categories = f"{n:,} categories"
        if likes != "dense":
            return "vocabulary", f"{categories}, as the model embeds or splits on ids"
        if n <= plan.max_one_hot:
            return "one_hot", f"{categories}, at most {plan.max_one_hot}"
        if not found.has_frequent:
            return "target_rate", f"{categories}, more than {plan.max_one_hot}, none in {FREQUENT} rows"
        # What the target says of a category, and what else sets the frequent ones apart.
        frequent = {"name": "vocabulary", "min_count": FREQUENT}
        return ["target_rate", frequent], f"{categories}, more than {plan.max_one_hot}"
    if likes == "codes":
        return "identity", "the model takes numbers as they are, missing included"
    if n < plan.min_piecewise:
        return "standardize", f"{n} distinct values, fewer than {plan.min_piecewise}"
    if likes == "embedding":
        return "piecewise_linear", f"{n:,} distinct values, as the model embeds bins"
    return ["quantile", {"name": "piecewise_linear", "n_bins": 16, "indicator": "never"}], f"{n:,} distinct values"


def of_text(found: ColumnFacts, as_tokens: bool, word_pieces: str = "") -> tuple[Any, str]:
    """The spec of a text, for models that read tokens, maybe of one vocabulary only, or bags."""
    why = f"a text of {found.n_characters:.0f} characters on average{', of a script without blanks' if found.spaceless else ''}"
    if as_tokens and found.spaceless and word_pieces in ("", SCRATCH):
        return "characters", why
    if as_tokens:
        return {"name": "wordpiece", "vocabulary": word_pieces} if word_pieces else "wordpiece", why
    terms = {"analyzer": "char", "ngram_range": [1, 3]} if found.spaceless else {"analyzer": "word", "ngram_range": [1, 2]}
    return {"name": "tfidf", "sublinear_tf": True, **terms}, why


def of_image(is_read: bool) -> tuple[str, str]:
    """The extractor of an image, for a model that reads images or one that does not."""
    return ("image", "an image") if is_read else ("pixels", "an image, which this model reads as numbers")


def facts(schema: Schema, context: FitContext) -> dict[str, ColumnFacts]:
    """Distinct and missing values of every feature column, plain ones in one query; of sequences, those of all steps. Images are
    taken to differ."""
    columns = [column for column in schema.of_role("feature") if not column.sequence and column.kind != "image"]
    questions: dict[str, ir.Scalar] = {"n": context.table.count()}
    for at, column in enumerate(columns):
        values = present(context.table[column.name])
        questions[f"distinct_{at}"] = values.nunique()
        questions[f"present_{at}"] = values.count()
        if column.kind == "string":
            questions[f"characters_{at}"] = values.length().mean()
            questions[f"blanks_{at}"] = (values.length() - values.replace(" ", "").length()).mean()
            questions[f"without_{at}"] = values.re_search(SPACELESS_SCRIPTS).mean()
    found = answers(context, **questions)
    known = {
        column.name: ColumnFacts(
            found["n"],
            found[f"distinct_{at}"],
            found["n"] - found[f"present_{at}"],
            n_characters=found.get(f"characters_{at}") or 0.0,
            n_blanks=found.get(f"blanks_{at}") or 0.0,
            without_blanks=found.get(f"without_{at}") or 0.0,
        )
        for at, column in enumerate(columns)
    }
    for column in schema.of_role("feature"):
        if column.kind == "image":
            known[column.name] = ColumnFacts(found["n"], found["n"], 0)
        if column.sequence:
            steps = steps_context(context, column.name)
            values = present(steps.table[column.name])
            of_steps = answers(steps, n=steps.table.count(), distinct=values.nunique(), present=values.count())
            known[column.name] = ColumnFacts(of_steps["n"], of_steps["distinct"], of_steps["n"] - of_steps["present"])
    return known


def _without_ignored(plan: FeaturePlan, schema: Schema) -> Schema:
    """The schema less `features.ignore`, once every column that the plan names is known to be there."""
    for setting, names in (("columns", plan.columns), ("types", plan.types), ("ignore", plan.ignore)):
        for name in names:
            if name not in schema:
                raise ConfigError(
                    f"features.{setting} names the column '{name}', which the examples do not have."
                    f"{nearest(name, schema.names)} Columns: {', '.join(schema.names)}."
                )
    for name in plan.ignore:
        if schema[name].role == "feature":
            schema = schema.with_role(name, "ignored", "left out by features.ignore")
    for name in plan.columns:
        column = schema[name]
        if column.role != "feature" and name not in plan.ignore:
            note = f" ({column.note})" if column.note else ""
            raise ConfigError(f"features.columns names '{name}', which is not a feature column but {column.role}{note}.")
    return schema


def _assign(column: Column, name: str, settings: Mapping[str, Any], why: str, where: str, registry: Registry) -> Assignment:
    choice = registry.choice("features", {"name": name, **settings}, where)
    extractor = registry.build(choice)
    if column.kind not in extractor.accepts:
        raise ConfigError(
            f"{where}: {name} reads {' and '.join(extractor.accepts)} columns, and '{column.name}' is "
            f"{with_article(column.kind)} column. Choose another extractor, or set features.types.{column.name}."
        )
    if column.sequence and type(extractor).fit_transform_rows is not Extractor.fit_transform_rows:
        raise ConfigError(
            f"{where}: {name} gives training rows values of their own, which the steps of the sequence '{column.name}' cannot "
            "have. Choose another extractor, e.g. vocabulary."
        )
    if column.sequence and extractor.gives is not None:
        raise ConfigError(
            f"{where}: {name} gives {extractor.gives}, one for each row, and the steps of the sequence '{column.name}' are "
            "a value each. Choose another extractor, e.g. vocabulary."
        )
    return Assignment(column, name, plain(choice.settings), extractor, why)
