"""Rows as they are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from shopkit.errors import ConfigError, DataError
from shopkit.views.materialise import materialise
from shopkit.views.settings import TableSettings
from shopkit.views.table import TableView
from tests.data import as_tables, visits


def examples(**settings: object):
    return TableView(TableSettings(**{"target": "bought", **settings})).examples(as_tables(visits(50), units={"seconds": "s"}))


def test_roles_and_columns():
    made = examples(keys=["visit_id"], time="at", group="channel", weight="pages", exclude=["is_weekend"])
    assert made.roles == {"visit_id": "key", "channel": "group", "at": "time", "pages": "weight", "bought": "target"}
    assert set(made.table.columns) == {*made.roles, "seconds", "browser"}
    assert made.units == {"seconds": "s"}
    assert "the target is bought" in made.summary


def test_chosen_columns_and_a_cutoff_that_is_no_feature():
    made = examples(columns=["pages", "channel"], cutoff="at")
    assert list(made.table.columns) == ["bought", "pages", "channel", "at"]
    assert (made.roles["at"], made.cutoff) == ("ignored", "at")


def test_a_key_may_be_the_group():
    assert examples(keys=["browser"], group="browser").roles["browser"] == "key"


def test_a_group_that_is_named_among_the_columns_is_a_feature_too():
    made = examples(keys=["visit_id"], group="browser", columns=["browser", "pages"])
    assert made.roles == {"visit_id": "key", "bought": "target", "browser_group": "group"}
    assert set(made.table.columns) == {*made.roles, "browser", "pages"}


def test_of_several_keys_the_first_may_be_the_group():
    with pytest.raises(ConfigError, match=r"Name 'browser' first in view\.keys"):
        examples(keys=["visit_id", "browser"], group="browser")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "boght"}, r"view\.target names column 'boght', which table 'data' does not have\. Did you mean 'bought'\?"),
        ({"keys": ["id"]}, r"view\.key names column 'id'"),
        ({"columns": ["page"]}, r"view\.columns names column 'page'.*Did you mean 'pages'\?"),
        ({"exclude": ["page"]}, r"view\.exclude names column 'page'"),
        ({"required": ["page"]}, r"view\.required names column 'page'.*Did you mean 'pages'\?"),
        ({"unique": ["page"]}, r"view\.unique names column 'page'.*Did you mean 'pages'\?"),
        ({"cutoff": "pages"}, r"view\.cutoff column 'pages' is int64, expected a timestamp"),
        ({"table": "visits"}, r"has no table 'visits'\. Tables: data\."),
        ({"columns": ["pages"], "exclude": ["pages"]}, "no columns left for features"),
    ],
)
def test_settings_that_do_not_fit_the_data(settings, message):
    with pytest.raises(DataError, match=message):
        examples(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": ""}, r"view\.target is empty"),
        ({"time": "bought"}, r"view\.time: column 'bought' is already view\.target"),
        ({"min_class_rows": -1}, r"view\.min_class_rows is -1; it must be at least 0"),
        ({"keys": ["bought"]}, r"view\.keys: column 'bought' is the target"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        TableSettings(**{"target": "bought", **settings})


REVIEWS = pd.DataFrame(
    {
        "review": ["good", "bad", None, "good", "  ", "fine", "bad", "good"],
        "stars": [5, 1, 3, 4, 2, 3, 1, 5],
        "label": ["a", "b", "a", "a", "b", "c", "b", "a"],
    }
)


def rows_of(frame: pd.DataFrame, path: Path, **settings: object) -> tuple[pd.DataFrame, dict[str, int]]:
    view = TableView(TableSettings(target="label", **settings))
    made = materialise(view.examples(as_tables(frame)), {}, path)
    return pd.read_parquet(path), dict(made.left_out)


def test_rows_that_say_nothing_or_repeat_another_are_left_out_and_counted(tmp_path):
    rows, left_out = rows_of(REVIEWS, tmp_path / "rows.parquet", required=["review"], unique=["review"])
    assert left_out == {"review is missing": 2, "repeats another row in review": 3}
    assert rows.set_index("review")["stars"].to_dict() == {"good": 4, "bad": 1, "fine": 3}


def test_which_of_the_repeats_is_kept_does_not_depend_on_the_order_of_rows(tmp_path):
    settings = {"required": ["review"], "unique": ["review"]}
    first, _ = rows_of(REVIEWS, tmp_path / "first.parquet", **settings)
    second, _ = rows_of(REVIEWS.iloc[::-1].reset_index(drop=True), tmp_path / "second.parquet", **settings)
    pd.testing.assert_frame_equal(first, second)


def test_rare_classes_are_left_out_after_all_else(tmp_path):
    rows, left_out = rows_of(REVIEWS, tmp_path / "rows.parquet", required=["review"], min_class_rows=2)
    assert left_out == {"review is missing": 2, "label has fewer than 2 rows": 1}
    assert rows["label"].tolist() == ["b", "b", "a", "a", "a"]


def test_a_text_without_spaces_is_no_identifier(tmp_path):
    frame = pd.DataFrame(
        {"text": [f"质量第{i}好" for i in range(200)], "code": [f"A{i}" for i in range(200)], "label": [0, 1] * 100}
    )
    path = tmp_path / "rows.parquet"
    schema = materialise(TableView(TableSettings(target="label")).examples(as_tables(frame)), {}, path).schema
    assert (schema["text"].role, schema["code"].role) == ("feature", "ignored")
