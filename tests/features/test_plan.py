"""Which extractor reads which column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shopkit.errors import ConfigError, DataError
from shopkit.features.settings import FeaturePlan
from tests.features.fitting import Fitted, fit_table, floats, texts

RNG = np.random.default_rng(0)
N = 200
TABLE = {
    "amount": floats(RNG.lognormal(size=N)),
    "is_member": floats(RNG.integers(0, 2, N)),
    "color": texts(RNG.choice(["red", "green"], N)),
    "town": texts([f"town {at % 60}" for at in range(N)]),
    "at": RNG.integers(1_500_000_000, 1_600_000_000, N),
}
TARGET = RNG.random(N)


def chosen(fitted: Fitted) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for row in fitted.features.description:
        names.setdefault(row["column"], []).append(row["extractor"])
    return names


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (
            ["features:embedding"],
            {"amount": ["piecewise_linear"], "is_member": ["standardize"], "color": ["vocabulary"], "town": ["vocabulary"]},
        ),
        (
            ["features:codes", "estimator"],
            {"amount": ["identity"], "is_member": ["identity"], "color": ["vocabulary"], "town": ["vocabulary"]},
        ),
        (
            [],
            {
                "amount": ["quantile", "piecewise_linear"],
                "is_member": ["standardize"],
                "color": ["one_hot"],
                "town": ["target_rate"],
            },
        ),
    ],
    ids=["embedding", "codes", "dense"],
)
def test_auto_follows_the_model(tags: list[str], expected: dict[str, list[str]]) -> None:
    assert chosen(fit_table(TABLE, tags=tags, target=TARGET)) == {**expected, "at": ["time_parts"]}


def test_the_user_comes_first_and_every_row_says_why() -> None:
    plan = FeaturePlan(
        strings="vocabulary", columns={"amount": ["standardize", {"name": "bucketize", "n_bins": 4}], "color": "one_hot"}
    )
    fitted = fit_table(TABLE, plan, target=TARGET)
    assert chosen(fitted)["amount"] == ["standardize", "bucketize"]
    why = {row["column"]: row["why"] for row in fitted.features.description}
    assert why["amount"] == "chosen for this column"
    assert why["town"] == "chosen for string columns"
    assert why["is_member"] == "2 distinct values, fewer than 8"
    assert next(row for row in fitted.features.description if row["extractor"] == "bucketize")["n_bins"] == 4


def test_columns_without_information_are_left_out_with_a_note() -> None:
    table = {**TABLE, "constant": floats([1.0] * N), "empty": texts([""] * N), "absent": floats([np.nan] * N)}
    fitted = fit_table(table, FeaturePlan(ignore=["at"]), target=TARGET)
    notes = {column.name: column.note for column in fitted.plan.schema.of_role("ignored")}
    assert notes == {
        "constant": "constant in the training part",
        "empty": "every training value is missing",
        "absent": "every training value is missing",
        "at": "left out by features.ignore",
    }
    assert {value.name for value in fitted.features.model.graph.input} == {
        "column.amount", "column.is_member", "column.color", "column.town",
    }  # fmt: skip


def test_columns_may_be_called_as_the_outputs_are() -> None:
    table = {"dense": TABLE["amount"], "ids": TABLE["color"], "features/1": TABLE["is_member"]}
    outputs = fit_table(table, tags=["features:embedding"]).run(table)
    assert outputs["dense"].shape[0] == outputs["ids"].shape[0] == N


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"columns": {"amuont": "standardize"}}, r"features\.columns names the column 'amuont', .* Did you mean 'amount'\?"),
        ({"ignore": ["size"]}, r"features\.ignore names the column 'size', which the examples do not have"),
        ({"types": {"size": "string"}}, r"features\.types names the column 'size'"),
        ({"numbers": "standardise"}, r"There is no extractor 'standardise'\. Did you mean 'standardize'\?"),
        ({"columns": {"amount": {"name": "bucketize", "bins": 3}}}, r"features\.columns\.amount\.bins.*no setting 'bins'"),
        (
            {"columns": {"color": "standardize"}},
            r"features\.columns\.color: standardize reads number columns, and 'color' is a string",
        ),
        ({"times": "vocabulary"}, r"features\.times: vocabulary reads string columns, and 'at' is a time column"),
        (
            {"columns": {"at": "time_parts"}, "ignore": ["at"]},
            r"features\.columns names 'at', which is not a feature column but ignored",
        ),
    ],
)
def test_a_plan_that_cannot_be_followed(plan: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit_table(TABLE, FeaturePlan(**plan), target=TARGET)


def test_no_feature_left() -> None:
    with pytest.raises(DataError, match=r"No feature column is left.*x \(constant in the training part\)"):
        fit_table({"x": floats([1.0, 1.0])})


def test_target_edges_need_a_target() -> None:
    spec = {"name": "piecewise_linear", "edges": "target"}
    with pytest.raises(ConfigError, match=r"piecewise_linear\.edges is 'target', which needs a binary or numeric target"):
        fit_table(TABLE, FeaturePlan(columns={"amount": spec}))
