from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from shopkit.errors import DataError
from shopkit.evaluation.part import Outputs, Part, Raw
from shopkit.evaluation.segments import choose_columns, segment_labels, segment_metrics
from shopkit.evaluation.settings import EvaluationSettings
from shopkit.tasks.binary import Binary

Shop = tuple[Binary, dict[str, Part], Callable[[Raw], Outputs]]
SETTINGS = EvaluationSettings(n_bootstrap=20)


def test_rare_values_are_joined_and_missing_is_named() -> None:
    labels, codes = segment_labels(np.array(["b"] * 5 + ["a"] * 9 + [""] * 4 + ["c", "d"], object), 4)
    assert labels == ["a", "b", "(missing)", "(other)"]
    assert np.bincount(codes).tolist() == [9, 5, 4, 2]


def test_numbers_fall_into_quartiles() -> None:
    values = np.append(np.arange(100, dtype=np.float32), np.nan)
    labels, codes = segment_labels(values, 1)
    assert labels == ["below 24.75", "24.75 to 49.5", "49.5 to 74.25", "from 74.25", "(missing)"]
    assert np.bincount(codes).tolist() == [25, 25, 25, 25, 1]


def test_few_numbers_stand_for_themselves() -> None:
    labels, codes = segment_labels(np.array([0, 1, 1, np.nan], np.float32), 1)
    assert labels == ["0", "1", "(missing)"]
    assert codes.tolist() == [0, 1, 1, 2]


def test_metrics_are_those_of_the_rows_of_the_segment(shop: Shop) -> None:
    task, parts, _ = shop
    test = parts["test"]
    (column,) = segment_metrics(task, test, EvaluationSettings(n_bootstrap=20, segments=["visitor"]), 0)
    assert [row["segment"] for row in column["rows"]] == ["returning", "new", "(missing)", "(other)"]
    assert sum(row["n"] for row in column["rows"]) == len(test)
    rows = test.raw["visitor"] == "new"
    entry = column["rows"][1]
    assert entry["metrics"]["auroc"]["value"] == pytest.approx(
        roc_auc_score(test.target[rows], test.outputs["probability"][rows])
    )
    assert entry["metrics"]["auroc"]["low"] < entry["metrics"]["auroc"]["value"] < entry["metrics"]["auroc"]["high"]
    assert entry["target"] == pytest.approx(test.target[rows].mean())
    assert entry["predicted"] == pytest.approx(test.outputs["probability"][rows].mean())


def test_columns_are_chosen_by_order_and_use(shop: Shop) -> None:
    raw = shop[1]["test"].raw
    assert choose_columns(raw, SETTINGS) == ["recency", "visitor", "noise"]  # times do not part rows well
    assert choose_columns(raw, SETTINGS, ["noise", "visitor"]) == ["noise", "visitor", "recency"]
    assert choose_columns(raw, EvaluationSettings(max_segment_columns=0)) == []
    ids = {"id": np.array([str(row) for row in range(1000)], object), "constant": np.zeros(1000, np.float32)}
    assert choose_columns(ids, SETTINGS) == []


def test_a_column_that_does_not_exist_is_named(shop: Shop) -> None:
    with pytest.raises(
        DataError, match=r"evaluation.segments names the column 'visiter', which does not exist\. Did you mean 'visitor'"
    ):
        choose_columns(shop[1]["test"].raw, EvaluationSettings(segments=["visiter"]))


def test_a_segment_without_weight(shop: Shop) -> None:
    task, parts, _ = shop
    test = parts["test"]
    column = np.where(np.arange(len(test)) % 2 == 0, "kept", "without")
    weighed = replace(test, raw={"half": column.astype(object)}, weight=(column == "kept").astype(np.float32))
    settings = EvaluationSettings(n_bootstrap=5, segments=["half"])
    rows = {row["segment"]: row for row in segment_metrics(task, weighed, settings, 0)[0]["rows"]}
    assert rows["without"]["target"] is rows["without"]["predicted"] is rows["without"]["metrics"]["auroc"]["value"] is None
    assert rows["kept"]["metrics"]["auroc"]["value"] is not None
