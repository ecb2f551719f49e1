from __future__ import annotations

import copy
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pandas as pd
import pyarrow as pa
import pytest

from shopkit.errors import ArtifactError, ConfigError, DataError
from shopkit.runtime import Predictor
from shopkit.runtime.sequences import flatten
from shopkit.schema import Column
from tests.handmade import exported_file

ROW: dict[str, Any] = {"price": 3.5, "color": "red"}
ROWS = pd.DataFrame({"customer": [1, 2], "price": [3.5, 1.0], "color": ["red", "blue"]})


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_file(tmp_path_factory.mktemp("file"))


@pytest.fixture(scope="module")
def predictor(artifact: Path) -> Predictor:
    return Predictor(artifact)


@pytest.mark.parametrize("more", [["a", "b"], (1, 2), np.zeros(3), {"a": 1}, {1}, ROWS], ids=lambda more: type(more).__name__)
def test_what_else_a_row_holds_says_nothing_of_it(predictor: Predictor, more: object) -> None:
    assert predictor({**ROW, "basket": more}) == predictor(ROW)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"price": [3.5], "color": "red"}, r"'color' is one value, 'red' \(str\), and 'price' is of many rows \(list\)"),
        ({"price": [3.5, 1, 2], "color": "red"}, r"'color' is one value, 'red' \(str\), and 'price' is of many rows"),
        ({"price": None, "color": ["red"]}, r"'price' is one value, None \(NoneType\), and 'color' is of many rows"),
        ({"price": {1, 2}, "color": ["red", "blue"]}, r"'price' is one value, \{1, 2\} \(set\)"),
        ({"price": {1, 2}, "color": "red"}, r"Column 'price', row 0: \{1, 2\} \(set\) is not a number"),
        ({"price": [1, 2], "color": ["red"]}, r"Columns differ in length: \{'price': 2, 'color': 1\}"),
        ({"customer": [1], "price": [1, 2], "color": ["a", "b"]}, r"differ in length: \{'customer': 1, 'price': 2, 'color': 2\}"),
        ([{"price": [3.5], "color": "red"}], r"Column 'price', row 0: \[3\.5\] \(list\) is not a number"),
        ([ROW, 3], r"Row 1: 3 \(int\) is not a dict\. Give one for each row"),
        ([None], r"Row 0: None \(NoneType\) is not a dict"),
        (iter([ROW]), r"Cannot predict from list_iterator \(builtins\): give a dict, a list of dicts or a pandas DataFrame"),
        (pa.table({"price": [1.0]}), r"from Table \(pyarrow\): .*; a table of another kind as a dict of its columns\."),
        (pd.concat([ROWS, ROWS[["price"]]], axis=1), r"several columns 'price', and one is to be read"),
        (pd.concat([ROWS, ROWS[["customer"]]], axis=1), r"several columns 'customer', and one is to be read"),
    ],
)
def test_data_of_no_clear_shape_are_refused(predictor: Predictor, data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        predictor(data)


def test_columns_that_are_not_read_may_repeat(predictor: Predictor) -> None:
    twice = pd.concat([ROWS, ROWS[["price", "price"]].set_axis(["x", "x"], axis=1)], axis=1)
    pd.testing.assert_frame_equal(predictor(twice), predictor(ROWS))


def test_lists_within_the_steps_of_a_sequence_stay_lists() -> None:
    steps, lengths = flatten([[["a"]], [["b", "c"], "d"]], Column("items", "string", sequence=True))
    assert steps.tolist() == [["a"], ["b", "c"], "d"]
    assert lengths.tolist() == [1, 2]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))], ids=["deepcopy", "pickle"])
def test_a_copy_opens_the_file_again(artifact: Path, copied: Any) -> None:
    predictor = Predictor(artifact, threads=2)
    other = copied(predictor)
    assert other.session is not predictor.session
    assert other.session.get_session_options().intra_op_num_threads == 2
    assert other(ROW) == predictor(ROW)


@pytest.mark.parametrize("threads", [-1, "2", 1.5, None])
def test_what_is_no_number_of_threads_is_refused(artifact: Path, threads: Any) -> None:
    with pytest.raises(
        ConfigError, match=rf"^threads is {threads!r}; it must be a whole number, at least 1, or 0 for one on each"
    ):
        Predictor(artifact, threads=threads)


def test_a_provider_that_is_not_here_is_refused(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ArtifactError, match=r"has no provider 'NoneExecutionProvider'\. It has: .*CPUExecutionProvider"):
        Predictor(artifact, providers=["NoneExecutionProvider", "CPUExecutionProvider"])
    assert capsys.readouterr() == ("", "")
    assert Predictor(artifact, providers=["CPUExecutionProvider"])(ROW) == Predictor(artifact)(ROW)
    assert Predictor(artifact, providers=[("CPUExecutionProvider", {})])(ROW) == Predictor(artifact)(ROW)
    assert Predictor(artifact, providers="CPUExecutionProvider")(ROW) == Predictor(artifact)(ROW)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> str:
    """A provider that this onnxruntime says it has, and which does not start."""
    name = "CUDAExecutionProvider"
    if name in ort.get_available_providers():
        pytest.skip("it may start here")
    monkeypatch.setattr(ort, "get_available_providers", lambda: [name, "CPUExecutionProvider"])
    return name


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_does_not_start_is_refused(artifact: Path, listed: str) -> None:
    with pytest.raises(ArtifactError, match=r"^CUDAExecutionProvider does not start here: .* leave the provider out\."):
        Predictor(artifact, providers=[listed])


@pytest.mark.parametrize(
    "data", [{"price": [], "color": []}, ROWS[["price", "color"]].iloc[:0], {"price": np.empty(0), "color": np.empty(0, object)}]
)
def test_a_graph_is_given_no_call_without_rows(artifact: Path, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(artifact)
    asked: list[int] = []
    session = predictor.session

    def run(names: list[str], feed: dict[str, np.ndarray]) -> Any:
        asked.append(min(map(len, feed.values())))
        return session.run(names, feed)

    monkeypatch.setattr(predictor, "session", SimpleNamespace(run=run))
    answer = predictor(data)
    assert asked == [1]
    assert [len(answer[name]) for name in ("probability", "label")] == [0, 0]
    assert answer["probability"].dtype == np.float32
