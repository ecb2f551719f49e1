"""Rows as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopkit.errors import ConfigError, DataError
from shopkit.sources.files import FilesSource
from shopkit.sources.settings import FilesSettings
from shopkit.views.materialise import materialise
from shopkit.views.settings import TableSettings
from shopkit.views.table import TableView
from tests.data import as_tables, visits


def examples(**settings: object):
    return TableView(TableSettings(**{"target": "bought", **settings})).examples(as_tables(visits(50), units={"seconds": "s"}))


def test_rows_without_a_key_keep_their_order(tmp_path):
    frame = pd.DataFrame({"x": [3.0, 1.0, 2.0], "label": ["b", "c", "a"]})
    rows, _ = rows_of(frame, tmp_path / "rows.parquet")
    assert rows["x"].tolist() == [3.0, 1.0, 2.0]
    rows, _ = rows_of(frame, tmp_path / "rows.parquet", unique=["x"])
    assert rows["x"].tolist() == [1.0, 2.0, 3.0]


def test_roles_and_columns():
    made = examples(keys=["visit_id"], time="at", group="channel", weight="pages", exclude=["is_weekend"])
    assert made.roles == {"visit_id": "key", "channel": "group", "at": "time", "pages": "weight", "bought": "target"}
    assert set(made.table.columns) == {*made.roles, "seconds", "browser"}
    assert made.units == {"seconds": "s"}
    assert (made.cutoff, dict(made.left_out)) == (None, {})
    origin = as_tables(visits(50)).origin
    assert made.summary == f"Each row of data in {origin}; the target is bought."


def test_chosen_columns_and_a_cutoff_that_is_no_feature():
    made = examples(columns=["pages", "channel"], cutoff="at")
    assert list(made.table.columns) == ["bought", "pages", "channel", "at"]
    assert (made.roles["at"], made.cutoff) == ("ignored", "at")
    assert examples(time="at", cutoff="at").roles == {"at": "time", "bought": "target"}
    assert examples(columns=["at", "pages"], cutoff="at").roles == {"bought": "target"}


def test_a_key_may_be_the_group():
    assert examples(keys=["browser"], group="browser").roles["browser"] == "key"


def test_a_group_that_is_named_among_the_columns_is_a_feature_too():
    made = examples(keys=["visit_id"], group="browser", columns=["browser", "pages"])
    assert made.roles == {"visit_id": "key", "bought": "target", "browser_group": "group"}
    assert set(made.table.columns) == {*made.roles, "browser", "pages"}


def test_a_feature_called_as_the_group_would_be_stays():
    frame = visits().rename(columns={"pages": "Browser_Group"})
    found = TableView(TableSettings(target="bought", group="browser", columns=["browser", "Browser_Group"]))
    made = found.examples(as_tables(frame))
    assert made.roles == {"bought": "target", "browser_group_1": "group"}
    rows = made.table.to_pyarrow().to_pandas()
    assert rows["Browser_Group"].tolist() == frame["Browser_Group"].tolist()


def test_of_several_keys_the_first_may_be_the_group():
    message = (
        "view.group 'browser' is one of several keys, visit_id, browser; of these the first is the group. Name 'browser' first "
        "in view.keys."
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        examples(keys=["visit_id", "browser"], group="browser")
    assert examples(keys=["browser", "visit_id"], group="browser").roles["browser"] == "key"


COLUMNS = "Columns: visit_id, at, pages, seconds, channel, browser, is_weekend, bought."


def unknown(setting: str, name: str, hint: str) -> str:
    return f"view table: view.{setting} names column '{name}', which table 'data' does not have.{hint} {COLUMNS}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "boght"}, unknown("target", "boght", " Did you mean 'bought'?")),
        ({"keys": ["id"]}, unknown("keys", "id", "")),
        ({"group": "browsers"}, unknown("group", "browsers", " Did you mean 'browser'?")),
        ({"time": "when"}, unknown("time", "when", "")),
        ({"weight": "second"}, unknown("weight", "second", " Did you mean 'seconds'?")),
        ({"columns": ["page"]}, unknown("columns", "page", " Did you mean 'pages'?")),
        ({"exclude": ["page"]}, unknown("exclude", "page", " Did you mean 'pages'?")),
        ({"required": ["page"]}, unknown("required", "page", " Did you mean 'pages'?")),
        ({"unique": ["page"]}, unknown("unique", "page", " Did you mean 'pages'?")),
        ({"cutoff": "page"}, unknown("cutoff", "page", " Did you mean 'pages'?")),
        (
            {"cutoff": "pages"},
            "view table: view.cutoff column 'pages' is int64, expected a timestamp. Declare it in source.types, or cast it in "
            "the source.",
        ),
        ({"columns": ["pages"], "exclude": ["pages"]}, "view table: table 'data' has no columns left for features."),
    ],
)
def test_settings_that_do_not_fit_the_data(settings, message):
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        examples(**settings)


def test_a_table_that_is_not_there():
    with pytest.raises(DataError, match=r"has no table 'visits'\. Tables: data\."):
        examples(table="visits")


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


def test_a_number_or_time_that_is_required_and_missing(tmp_path):
    frame = pd.DataFrame(
        {
            "price": [1.0, float("nan"), None, 4.0],
            "at": [pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-03"), pd.NaT],
            "label": list("abab"),
        }
    )
    rows, left_out = rows_of(frame, tmp_path / "rows.parquet", required=["price", "at"])
    assert (rows["price"].tolist(), left_out) == ([1.0], {"price is missing": 2, "at is missing": 1})
    pq.write_table(pa.table({"price": [1.0, float("nan")], "label": ["a", "b"]}), tmp_path / "table.parquet")
    tables = FilesSource(FilesSettings(path=str(tmp_path / "table.parquet"))).open()
    view = TableView(TableSettings(target="label", required=["price"]))
    assert materialise(view.examples(tables), {}, tmp_path / "rows.parquet").left_out == {"price is missing": 1}


def test_repeats_are_by_all_named_columns_together_and_rows_of_equal_rank_are_told_apart_by_all_others(tmp_path):
    frame = pd.DataFrame({"a": [1, 1, 1, 2, 2], "b": [1, 1, 2, 1, 1], "x": [3.0, 2.0, 1.0, 5.0, 4.0], "label": list("ababa")})
    rows, left_out = rows_of(frame, tmp_path / "rows.parquet", unique=["a", "b"])
    assert left_out == {"repeats another row in a, b": 2}
    assert rows[["a", "b", "x"]].values.tolist() == [[1, 1, 2], [1, 2, 1], [2, 1, 4]]
    kept, left_out = rows_of(frame, tmp_path / "rows.parquet", keys=["x"], unique=["a"], min_class_rows=1)
    assert (sorted(kept["x"]), left_out) == (["2", "4"], {"repeats another row in a": 3})


def test_a_class_of_exactly_the_least_number_of_rows_stays_and_rows_without_one_are_not_rare(tmp_path):
    frame = pd.DataFrame({"x": range(6), "label": ["a", "a", "a", "b", "b", None]})
    rows, left_out = rows_of(frame, tmp_path / "rows.parquet", min_class_rows=2)
    assert (rows["label"].tolist(), left_out) == (["a", "a", "a", "b", "b"], {"target is missing": 1})
    rows, left_out = rows_of(frame, tmp_path / "rows.parquet", min_class_rows=3)
    assert (rows["x"].tolist(), left_out) == ([0, 1, 2], {"label has fewer than 3 rows": 2, "target is missing": 1})
