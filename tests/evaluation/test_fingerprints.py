"""Batches of a part leave the fingerprints, and the audit, of the whole part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shopkit.evaluation.audit import audit
from shopkit.evaluation.evaluate import evaluate
from shopkit.evaluation.fingerprints import Fingerprints
from shopkit.evaluation.part import Part
from shopkit.evaluation.settings import EvaluationSettings
from tests.evaluation.conftest import Shop

SETTINGS = EvaluationSettings(n_bootstrap=20, permutation_repeats=1)


def in_batches(part: Part, size: int) -> Fingerprints:
    found = Fingerprints()
    for start in range(0, len(part), size):
        found.add(part.take(np.arange(start, min(start + size, len(part)))))
    return found


def without_columns(part: Part) -> Part:
    return replace(part, raw={}, keys={})


@pytest.mark.parametrize("size", [1, 7, 300])
def test_batches_leave_the_same(shop: Shop, size: int) -> None:
    part = shop[1]["test"]
    whole, found = Fingerprints.of(part), in_batches(part, size)
    np.testing.assert_array_equal(found.keys, whole.keys)
    np.testing.assert_array_equal(found.rows, whole.rows)
    assert found.late == whole.late == {"last_visit": (0, len(part))}


def test_no_rows() -> None:
    assert len(Fingerprints().rows) == len(Fingerprints().keys) == 0


def test_the_audit_needs_no_columns_of_all_rows(shop: Shop) -> None:
    parts = dict(shop[1])
    # A leak of every kind: late times, a key and rows of the training part in the test part, a column that tells.
    train = parts["train"]
    leaky = {**train.raw, "refund": train.target.copy(), "last_visit": train.raw["last_visit"] + 10**6}
    parts["train"] = replace(train, raw=leaky)
    parts["test"] = replace(
        parts["train"].take(np.arange(200)), outputs=parts["test"].take(np.arange(200)).outputs, cutoff=np.full(200, 5 * 86_400)
    )
    whole = audit(parts, SETTINGS, n_classes=2, seed=0)
    assert {finding["check"] for finding in whole} >= {"shared_keys", "time_past_cutoff", "one_column_predicts", "duplicate_rows"}
    streamed = audit(
        {name: without_columns(part) for name, part in parts.items()},
        SETTINGS,
        n_classes=2,
        seed=0,
        sample=parts["train"],
        fingerprints={name: in_batches(part, 64) for name, part in parts.items()},
    )
    assert streamed == whole


def test_streamed_evaluation_equals_that_in_memory(shop: Shop) -> None:
    task, parts, predict = shop
    whole = evaluate(task, parts, settings=SETTINGS, predict=predict, seed=3)
    streamed = evaluate(
        task,
        {name: without_columns(part) for name, part in parts.items()},
        settings=SETTINGS,
        predict=predict,
        seed=3,
        samples=parts,
        fingerprints={name: in_batches(part, 100) for name, part in parts.items()},
    )
    assert streamed == whole


def test_samples_are_counted_and_change_no_metric(shop: Shop) -> None:
    task, parts, predict = shop
    whole = evaluate(task, parts, settings=SETTINGS, predict=predict)
    some = {name: part.take(np.arange(0, len(part), 4)) for name, part in parts.items()}
    found = evaluate(task, parts, settings=SETTINGS, predict=predict, samples=some)
    assert found["sampled"] == {"train": 750, "validation": 125, "test": 250}
    assert whole["sampled"] == {}
    for entry in ("metrics", "curves", "baselines", "n_rows", "interval"):
        assert found[entry] == whole[entry]
    assert found["importance"]["n_rows"] == 250


def test_joined_parts_are_the_whole(shop: Shop) -> None:
    part = shop[1]["test"]
    halves = [part.take(np.arange(400)), part.take(np.arange(400, 1000))]
    joined = Part.joined(halves)
    for name, values in part.columns.items():
        np.testing.assert_array_equal(joined.columns[name], values)
    np.testing.assert_array_equal(joined.outputs["label"], part.outputs["label"])
    np.testing.assert_array_equal(joined.groups, part.groups)
    assert joined.weight is None
    assert Part.joined([part]) is part
