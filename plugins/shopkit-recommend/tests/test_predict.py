"""Files of histories, scored from the shell: lists in CSV, and what is asked for beside the columns."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from shop import recommend, sequences
from shopkit.cli.predict import main
from shopkit.errors import DataError
from shopkit.predict.files import predict_file
from shopkit.runtime import Predictor


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recommend(tmp_path_factory.mktemp("file"), sequences(), "model=item_knn").model_path


HISTORIES = [["103", "104"], [], ["105"]]


def histories(folder: Path, ending: str) -> Path:
    frame = pd.DataFrame({"customer": [1, 2, 3], "step": [0, 0, 0], "history": HISTORIES})
    data = folder / f"in.{ending}"
    if ending == "parquet":
        frame.to_parquet(data)
    else:
        frame["history"] = frame["history"].map(json.dumps)
        frame.to_csv(data, index=False, sep="\t" if ending == "tsv" else ",")
    return data


@pytest.mark.parametrize("reading", ["parquet", "csv", "tsv"])
@pytest.mark.parametrize("writing", ["parquet", "csv", "tsv"])
def test_lists_in_and_out_of_every_format(path: Path, tmp_path: Path, reading: str, writing: str) -> None:
    output = tmp_path / f"out.{writing}"
    asked = {"k": 3, "candidates": [107, 105]}
    assert predict_file(path, histories(tmp_path, reading), output, asked=asked) == 3
    expected = Predictor(path, **asked)([{"history": history} for history in HISTORIES])
    if writing == "parquet":
        found = [list(items) for items in pd.read_parquet(output)["items"]]
    else:
        answer = pd.read_csv(output, sep="\t" if writing == "tsv" else ",")
        found = answer["items"].map(json.loads).tolist()
        assert answer["customer"].tolist() == [1, 2, 3]
        scores = [json.loads(text) for text in answer["scores"]]
        assert [score is None for score in scores[2]] == [False, True, True]
    assert found == [row["items"] for row in expected]


def test_options_from_the_shell(path: Path, tmp_path: Path) -> None:
    (tmp_path / "stock.txt").write_text("107\n110\n")
    output = tmp_path / "out.csv"
    options = ["--option", "k=2", "--option", f"candidates=@{tmp_path / 'stock.txt'}"]
    assert main([str(path), str(histories(tmp_path, "csv")), "-o", str(output), *options]) == 0
    for text in pd.read_csv(output)["items"]:
        assert set(json.loads(text)) == {"107", "110"}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("n=2", r"model\.onnx has no option 'n'\. Options: k, candidates"),
        ("k=two", r"Option 'k': 'two' is not one int64"),
        ("candidates=107", r"--option candidates: '107' is not a JSON array"),
    ],
)
def test_options_that_do_not_fit(path: Path, tmp_path: Path, option: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        main([str(path), str(histories(tmp_path, "csv")), "-o", str(tmp_path / "out.csv"), "--option", option])


def test_a_history_that_is_no_list_is_named_with_its_row(path: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('history\n"[103]"\n103 104\n')
    with pytest.raises(DataError, match=r"Column 'history', row 1: '103 104' is not a JSON array\. Write a list as"):
        predict_file(path, tmp_path / "in.csv", tmp_path / "out.csv")
