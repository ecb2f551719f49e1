"""Rows as they are."""

from __future__ import annotations

import pytest

from shopkit.errors import ConfigError, DataError
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
        ({"keys": ["bought"]}, r"view\.keys: column 'bought' is the target"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        TableSettings(**{"target": "bought", **settings})
