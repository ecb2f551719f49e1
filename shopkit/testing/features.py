"""What every feature extractor promises. Two columns are stacked throughout: a graph of one hides mistakes of stacking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import numpy as np

from shopkit.features.base import Extractor, FeatureBlock
from shopkit.features.graph import lay_out
from shopkit.features.sequences import steps_context
from shopkit.features.tensors import ARRAYS, FIXED, Tensor
from shopkit.runtime.artifact import open_session
from shopkit.runtime.sequences import cells, graph_feed
from shopkit.schema import INPUT_PREFIX, LENGTHS_INPUT
from shopkit.testing.data import N_ROWS, missing_of, unseen_of
from shopkit.testing.feature_cases import NAMES, Case, Graph, answering, cases, columns_of, context_of, fitted_on
from shopkit.testing.subject import NotApplicable, Subject

ROUNDING = 1e-5
"""Of float32 arithmetic on other neighbours in a batch."""
STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")


def _same_states(subject: Subject, got: Case, expected: Case, law: str, tolerance: float = 0.0) -> None:
    for name, left, right in zip(got.names, got.states, expected.states, strict=True):
        subject.require(left.keys() == right.keys(), f"{law}, but its state has {sorted(left)} and {sorted(right)}.")
        for key in right:
            subject.require_equal(left[key], right[key], f"{law}, state '{key}' of the {name} column", tolerance)


def check_features_graph_equals_reference(subject: Subject) -> None:
    """The graph says of every row what the slow, obvious `reference` says, on training rows and on new ones."""
    for case in cases(subject):
        graph = Graph(case)
        for rows, values in {"training rows": case.train, "new rows": columns_of(case.kind, np.random.default_rng(99))}.items():
            expected = case.reference(values)
            for name, got in graph.run(values).items():
                law = f"the graph must equal the reference {case}, {rows}, {name} column"
                subject.require_equal(got.astype(np.float64), expected[name].astype(np.float64), law, case.extractor.tolerance)


def check_features_steps_of_sequences_are_values(subject: Subject) -> None:
    """A step of a sequence becomes what the same value becomes alone, fitted on all steps of the training part; padding, empty
    rows and rows of other lengths beside it change nothing, and beyond a row's length all is 0."""
    if subject.target().fit_transform_rows is not Extractor.fit_transform_rows:
        raise NotApplicable("it gives training rows values of their own, so it is not used for sequences")
    for plain in cases(subject):
        if plain.group.blocks()[0].tensor not in FIXED or plain.kind == "image":
            raise NotApplicable("what it gives is not one value for each step")
        n_rows = N_ROWS // 2
        lengths = np.bincount(np.random.default_rng(5).integers(0, n_rows, N_ROWS), minlength=n_rows)
        rows = {name: cells(values, lengths) for name, values in plain.train.items()}
        with context_of(subject, rows) as context:
            states = tuple(plain.extractor.fit(name, steps_context(context, name)) for name in NAMES)
        columns = tuple(replace(column, sequence=True) for column in plain.columns)
        case = replace(plain, columns=columns, states=states)
        _same_states(subject, case, plain, f"steps must be fitted as rows are {plain}", 1e-9)
        session = open_session(case.model().SerializeToString())
        tensors = [value.name for value in session.get_outputs()]
        blocks = lay_out([case.group]).blocks
        inputs = {name: INPUT_PREFIX + name for name in NAMES}
        for least in (1, int(lengths.max()) + 3):
            feed = graph_feed(rows, columns, inputs, LENGTHS_INPUT, least=least)
            found = dict(zip(tensors, session.run(tensors, feed), strict=True))
            inside = np.arange(feed[INPUT_PREFIX + NAMES[0]].shape[1]) < lengths[:, None]
            for name, expected in case.reference(plain.train).items():
                own = [found[b.tensor][:, :, b.start : b.start + b.width] for b in blocks if b.column == name]
                got = np.concatenate(own, axis=2)
                law = f"steps must become what values alone do {plain}, padded to {inside.shape[1]}, {name} column"
                tolerance = case.extractor.tolerance
                subject.require_equal(got[inside].astype(np.float64), expected.astype(np.float64), law, tolerance)
                subject.require(not got[~inside].any(), f"padding must become 0 {plain}, {name} column.")


def check_features_unseen_values_are_answered(subject: Subject) -> None:
    """Values that no training row has are answered as `reference` answers them: finite, and ids within the cardinality."""
    for case in cases(subject):
        values = dict.fromkeys(NAMES, unseen_of(case.kind))
        graph, expected = Graph(case), case.reference(values)
        for name, got in graph.run(values).items():
            law = f"the graph must equal the reference {case}, unseen values, {name} column"
            # float32 arithmetic on 1e6 keeps six digits.
            subject.require_equal(got.astype(np.float64), expected[name].astype(np.float64), law, 10 * case.extractor.tolerance)
            finite = np.isfinite(got.astype(np.float64)).all(axis=1)
            subject.require(bool(finite.all()), f"an unseen value gives NaN or infinity {case}: {values[name][~finite][:1]!r}.")
        _require_ids_in_range(case, graph, values)


def check_features_missing_values_are_answered(subject: Subject) -> None:
    """Missing values are answered as `reference` answers them, also where the training part had none, or nothing but them."""
    for case in cases(subject):
        nothing = {name: missing_of(case.kind, 3) for name in NAMES}
        fitted_on_nothing = fitted_on(subject, case.kind, {name: missing_of(case.kind, 20) for name in NAMES})
        for fitted, on in ((case, "ordinary columns"), (fitted_on_nothing, "columns with nothing but missing values")):
            graph, expected = Graph(fitted), fitted.reference(nothing)
            for name, got in graph.run(nothing).items():
                law = f"the graph must equal the reference {case}, missing values, fitted on {on}"
                subject.require_equal(got.astype(np.float64), expected[name].astype(np.float64), law, fitted.extractor.tolerance)
            _require_ids_in_range(fitted, graph, nothing)


def _require_ids_in_range(case: Case, graph: Graph, values: Mapping[str, np.ndarray]) -> None:
    found = graph.run(values)
    for block in graph.blocks:
        if block.tensor == "ids":
            ids = found[block.column]
            case.subject.require(
                bool((ids >= 0).all() and (ids < block.cardinality).all()),
                f"ids must lie from 0 to below the cardinality {block.cardinality} {case}, but {int(ids.min())} to "
                f"{int(ids.max())} were found: an embedding table would have no such row.",
            )


def check_features_any_number_of_rows(subject: Subject) -> None:
    """One row and no rows at all work as many rows do."""
    for case in cases(subject):
        graph = Graph(case)
        whole = graph.run(case.train)
        for n_rows in (1, 0):
            part = graph.run({name: values[:n_rows] for name, values in case.train.items()})
            for name in case.names:
                law = f"{n_rows} rows must give what they give among many {case}"
                subject.require_equal(part[name], whole[name][:n_rows], law, ROUNDING)


def check_features_order_of_rows_does_not_matter(subject: Subject) -> None:
    """Shuffled training rows are fitted alike, and shuffled rows are transformed alike."""
    for case in cases(subject):
        order = np.random.default_rng(3).permutation(len(case.train["first"]))
        shuffled = fitted_on(subject, case.kind, case.train, order=order)
        _same_states(subject, shuffled, case, f"the order of the training rows must not matter {case}", 1e-9)
        graph = Graph(case)
        whole, mixed = graph.run(case.train), graph.run({name: values[order] for name, values in case.train.items()})
        for name in case.names:
            subject.require_equal(mixed[name], whole[name][order], f"shuffled rows must give shuffled features {case}", ROUNDING)


def check_features_know_the_training_part_only(subject: Subject) -> None:
    """What a row becomes follows from the training part and the row itself: not from rows outside that part, from rows
    transformed beside it, or from what the extractor fitted before."""
    for case in cases(subject):
        n_rows = len(case.train["first"])
        is_train = np.arange(n_rows) % 2 == 0
        odd = {name: np.where(is_train, values, missing_of(case.kind, n_rows)) for name, values in case.train.items()}
        odd = {name: values.astype(case.train[name].dtype) for name, values in odd.items()}
        with_others = fitted_on(subject, case.kind, case.train, is_train)
        _same_states(
            subject,
            fitted_on(subject, case.kind, odd, is_train),
            with_others,
            f"rows outside the training part must not matter {case}",
        )
        reused = fitted_on(subject, case.kind, case.train, is_train, extractor=case.extractor)
        _same_states(subject, reused, with_others, f"an extractor must remember nothing of earlier fits {case}")
        graph = Graph(case)
        whole = graph.run(case.train)
        other = {name: np.concatenate([values[:5], unseen_of(case.kind)]) for name, values in case.train.items()}
        beside = graph.run(other)
        for name in case.names:
            law = f"a row must be transformed alike whatever rows are beside it {case}"
            subject.require_equal(beside[name][:5], whole[name][:5], law, ROUNDING)


def check_features_are_deterministic(subject: Subject) -> None:
    """Equal training rows give equal states and a graph of equal bytes."""
    for case in cases(subject):
        again = fitted_on(subject, case.kind, case.train)
        _same_states(subject, again, case, f"fitting twice must give the same state {case}")
        first, second = (one.model().SerializeToString(deterministic=True) for one in (case, again))
        subject.require(first == second, f"fitting and tracing twice must give the same bytes {case}, but they differ.")


def check_features_use_standard_operators(subject: Subject) -> None:
    """The graph runs wherever ONNX does: its operators are those of `ai.onnx` and `ai.onnx.ml`; the tag `onnx:custom` allows
    others."""
    for case in cases(subject):
        model = case.raw_model()
        nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
        inner = {(function.domain, function.name) for function in model.functions}
        custom = sorted(
            {f"{node.domain}:{node.op_type}" for node in nodes if node.domain not in STANDARD_DOMAINS}
            - {f"{domain}:{name}" for domain, name in inner}
        )
        subject.require(
            not custom or "onnx:custom" in subject.tags,
            f"its graph {case} uses operators outside the ONNX standard: {', '.join(custom)}. Use standard ones, or tag the "
            "component `onnx:custom`.",
        )


def check_features_blocks_match_the_output(subject: Subject) -> None:
    """`blocks` describes what `transform` gives: widths, a name for each position, float32 `dense` and int64 `ids`."""
    for case in cases(subject):
        for column, state in zip(case.columns, case.states, strict=True):
            for block in case.extractor.blocks(column.name, state):
                _require_sound(case, column.name, block)
        found = answering(case.raw_model(), case)(case.train)
        blocks = case.group.blocks()
        if blocks[0].tensor not in FIXED:
            for name in found:
                subject.require(
                    found[name].dtype == ARRAYS[name].dtype, f"`{name}` must be {ARRAYS[name].dtype.__name__} {case}."
                )
            continue
        for tensor, dtype in (("dense", np.float32), ("ids", np.int64)):
            width = sum(block.width for block in blocks if block.tensor == tensor)
            values = found.get(tensor, np.empty((N_ROWS, 0), dtype))
            subject.require(values.dtype == dtype, f"`{tensor}` must be {np.dtype(dtype)} {case}, but it is {values.dtype}.")
            subject.require(
                values.shape == (N_ROWS, width),
                f"the blocks say {width} positions of `{tensor}` for {N_ROWS} rows {case}, but `transform` gives {values.shape}.",
            )
        for column, state in zip(case.columns, case.states, strict=True):
            own = case.extractor.blocks(column.name, state)
            width = sum(block.width for block in own)
            shape = np.asarray(case.extractor.reference(case.train[column.name], state)).shape
            subject.require(
                shape == (N_ROWS, width), f"`reference` gives {shape}, but the blocks say ({N_ROWS}, {width}) {case}."
            )


def _require_sound(case: Case, column: str, block: FeatureBlock) -> None:
    require = case.subject.require
    require(block.column == column, f"a block of column '{column}' says it is of '{block.column}' {case}.")
    require(block == replace(block, start=0), f"a block must give `start` 0, which the caller fills in; it gives {block.start}.")
    require(block.tensor in get_args(Tensor), f"a block's tensor must be one of {get_args(Tensor)}; it is {block.tensor!r}.")
    if block.tensor not in FIXED:
        return
    require(
        len(block.names) == block.width and len(set(block.names)) == block.width,
        f"a block of {block.width} positions must name each of them once {case}; its names are {block.names!r}.",
    )
    require(
        block.cardinality >= 2 if block.tensor == "ids" else block.cardinality == 0,
        f"cardinality must be at least 2 for `ids` (0 is missing, 1 is unknown) and 0 for `dense`; it is {block.cardinality}.",
    )


def check_features_training_rows_fit_their_blocks(subject: Subject) -> None:
    """Training-time values, where an extractor has them, are float32 (training rows, width), finite, and the same each time."""
    for case in cases(subject):
        with context_of(subject, case.train) as context:
            for column, state in zip(case.names, case.states, strict=True):
                rows = case.extractor.fit_transform_rows(column, context, state)
                if rows is None:
                    continue
                width = sum(block.width for block in case.extractor.blocks(column, state))
                subject.require(
                    rows.shape == (N_ROWS, width) and rows.dtype == np.float32,
                    f"`fit_transform_rows` must give float32 ({N_ROWS}, {width}), one row for each training row; it gives "
                    f"{rows.dtype} {rows.shape}.",
                )
                subject.require(bool(np.isfinite(rows).all()), "`fit_transform_rows` gives NaN or infinite values.")
                again = case.extractor.fit_transform_rows(column, context, state)
                subject.require(
                    again is not None and np.array_equal(rows, again), "`fit_transform_rows` differs when called again."
                )
