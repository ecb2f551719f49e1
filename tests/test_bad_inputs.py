"""What a person sees when something is wrong: one message that says where, what, which value, what to do."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import shopkit
from shopkit.errors import ConfigError, DataError, RunError, ShopkitError
from tests.shop import TABLE, visits

OVERRIDES = [*TABLE, "features.ignore=[amount]", "model=linear", "trainer.max_epochs=1"]


def with_column(**columns: object) -> pd.DataFrame:
    return visits().assign(**columns)


def in_row(row: int, column: str, value: object) -> pd.DataFrame:
    frame = visits().astype({column: object})
    frame.loc[row, column] = value
    return frame


BAD_TABLES: dict[str, tuple[pd.DataFrame, list[str], str]] = {
    "header only": (visits().head(0), [], r"(no rows|empty)"),
    "missing column": (visits(), ["view.target=bougth"], r"column 'bougth'.* Did you mean 'bought'\?"),
    "wrong type in row N": (in_row(17, "price", "cheap"), [], r"'price', row 17: 'cheap'"),
    "all-missing target": (with_column(bought=None), [], r"(?i)target"),
    "a part without weight": (
        with_column(importance=0.0),
        ["view.weight=importance"],
        r"The weights of all \d+ rows of the train part are 0, so nothing can be learnt .* Look at view\.weight and at the split",
    ),
    "one class in training": (with_column(bought="yes"), [], r"target.* (one class|constant|one value)"),
    "constant target": (
        with_column(amount=1.0),
        ["view.target=amount", "features.ignore=[]", "task=regression", "split=random"],
        r"The target is 1 in all 420 training rows: there is nothing to predict",
    ),
    "no target": (visits(), ["view.target=''"], r"(?i)target"),
    "text for regression": (visits(), ["task=regression", "split=random"], r"regression.*(text|number).*"),
    "three classes for binary": (visits().dropna(), ["view.target=channel"], r"binary needs two classes.* has 3"),
    "duplicate keys": (pd.concat([visits(), visits()]), [], r"(?i)data contract is broken.*key"),
    "infinite value": (in_row(5, "price", np.inf), [], r"'price', row 5 \(customer=1005\): inf is not a finite number"),
    "no time to split by": (visits(), ["split=time"], r"split time needs a column of role time"),
    "no group to split by": (visits(), ["split=group"], r"split group needs"),
    "too few rows for three parts": (visits().head(3), ["split=random"], r"without rows"),
    "no feature left": (visits()[["customer", "bought"]], ["features.ignore=[]"], r"no columns left for features"),
    "columns that case alone tells apart": (
        with_column(Price=1.0),
        [],
        r"table 'data' has more than one column 'price' \(upper and lower case count as one\)\. Rename 'Price'",
    ),
    "a column of shopkit's own": (
        with_column(shopkit_row=visits().price),
        [],
        r"'shopkit_row' is called as one that shopkit makes",
    ),
    "a column of the engine's own": (with_column(File_Row_Number=visits().price), [], r"'File_Row_Number' is called as one that"),
    "a key called as what stands beside it": (
        visits().rename(columns={"customer": "part"}),
        ["view.keys=[part]"],
        r"'part' names the row and is called as one that shopkit makes itself\. Rename it in the source",
    ),
    "a key called as an answer": (
        visits().rename(columns={"customer": "Label"}),
        ["view.keys=[Label]"],
        r"'Label' names the row, and an answer has the same name \(probability, label\): the predictions would lose it",
    ),
    "a plan for a column that is not there": (visits(), ["features.columns.prise=log1p"], r"'prise'.* Did you mean 'price'\?"),
    "an extractor of another kind": (visits(), ["features.columns.channel=log1p"], r"log1p reads number columns"),
    "a type that does not fit": (visits(), ["features.types.channel=number"], r"'channel' is of type VARCHAR, .*says number"),
    "a folder of a kfold that is not there": (visits(), ["split=kfold", "split.fold=9"], r"split\.fold"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_named(case: str, tmp_path: Path) -> None:
    frame, overrides, message = BAD_TABLES[case]
    with pytest.raises(ShopkitError, match=message) as raised:
        shopkit.run(data=frame, overrides=[*OVERRIDES, *overrides], folder=tmp_path / "run")
    assert "Traceback" not in str(raised.value)
    assert not (tmp_path / "run").exists()


BAD_FILES: dict[str, tuple[bytes | None, list[str], str]] = {
    "missing file": (None, [], r"visits\.csv"),
    "empty file": (b"", [], r"visits\.csv.* empty"),
    "header only": (b"price,bought\n", [], r"(no rows|header)"),
    "mixed encodings": ("price,bought\n1,yes\n2,n\u00f6\n".encode("latin-1"), [], r"visits\.csv.*utf-8.*encoding"),
    "a row too long": (b"price,bought\n1,yes\n2,no,3\n", [], r"line 3"),
    "a number that is text": (
        b"price,bought\n1,yes\ncheap,no\n",
        ["+source.types.price=number"],
        r"row 1, column 'price': 'cheap' is not a number, as declared in source\.types",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_named(case: str, tmp_path: Path) -> None:
    content, overrides, message = BAD_FILES[case]
    path = tmp_path / "visits.csv"
    if content is not None:
        path.write_bytes(content)
    chosen = ["source=files", f"source.path={path}", "view=table", "view.target=bought", "split=random"]
    with pytest.raises(DataError, match=message):
        shopkit.run(overrides=[*chosen, *overrides], folder=tmp_path / "run")


BAD_VIEWS: dict[str, tuple[list[str], str]] = {
    "negative horizon": (["view.horizon_days=-7"], r"view\.horizon_days.*-7"),
    "cut-off outside the data": (["view.first_cutoff=2031-01-01"], r"2031-01-01"),
    "unknown department": (["view.department=GROCERIES"], r"'GROCERIES'"),
}


@pytest.mark.parametrize("case", BAD_VIEWS)
def test_a_bad_view_is_named(case: str, tmp_path: Path) -> None:
    overrides, message = BAD_VIEWS[case]
    with pytest.raises(ShopkitError, match=message):
        shopkit.run("purchase_intent", [*overrides], folder=tmp_path / "run")


def test_a_data_frame_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(ShopkitError, match=r"(?i)dataframe"):
        shopkit.run(overrides=["source=dataframe", *OVERRIDES], folder=tmp_path / "run")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=mlp", "model.hiden=[64]"], r"model\.hiden.*Did you mean 'hidden'\?"),
        (["model=mlp", "+model.hiden=[64]"], r"model\.hiden.*Did you mean 'hidden'\?"),
        (["model=mpl"], r"There is no model 'mpl'\. Did you mean 'mlp'\?"),
        (["modle=mlp"], r"'modle'.*Did you mean 'model'\?"),
        (["trainer.max_epochs=many"], r"trainer\.max_epochs.*'?many'?"),
        (["trainer.lr=-1"], r"trainer\.lr.*-1"),
        (["logger.mlflow=true"], r"mlflow"),
    ],
)
def test_a_bad_setting_is_named(overrides: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        shopkit.run(data=visits(), overrides=[*OVERRIDES, *overrides], folder=tmp_path / "run")


def test_a_component_of_a_plugin_that_is_not_installed_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPKIT_PLUGINS", "")
    with pytest.raises(ConfigError, match=r"'gbdt' comes with shopkit-gbdt: pip install shopkit-gbdt"):
        shopkit.run(data=visits(), overrides=[*OVERRIDES, "model=gbdt"], folder=tmp_path / "run")


def test_columns_that_say_nothing_are_left_out_with_a_note(tmp_path: Path) -> None:
    frame = with_column(nothing=np.nan, same=7, session_id=[f"s{i}" for i in range(600)])
    run = shopkit.run(data=frame, overrides=OVERRIDES, folder=tmp_path / "run")
    notes = {column["name"]: column.get("note", "") for column in (run.facts("features") or {})["schema"]}
    assert {"nothing", "same", "session_id"}.isdisjoint(shopkit.Predictor(run.path).inputs.names)
    assert "missing" in notes["nothing"]
    assert "constant" in notes["same"] or "same" in notes["same"]
    assert "identif" in notes["session_id"] or "distinct" in notes["session_id"]


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"Cannot write the run folder .*file.run\.partial: .*Choose another"):
        shopkit.run(data=visits(), overrides=OVERRIDES, folder=tmp_path / "file" / "run")


@pytest.mark.parametrize("stage", ["examples", "split", "features", "train", "evaluate"])
def test_a_full_disk_is_one_message_and_leaves_nothing_half_written(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shopkit.stages import Way, way

    work = way.WORK[stage]

    def full(going: Way) -> object:
        work(going)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setitem(way.WORK, stage, full)
    with pytest.raises(RunError, match=rf"The stage {stage} of .* stopped: No space left on device\. .*resume=true"):
        shopkit.run(data=visits(), overrides=OVERRIDES, folder=tmp_path / "run")
    monkeypatch.undo()
    assert not (tmp_path / "run").exists()
    assert shopkit.run(data=visits(), overrides=[*OVERRIDES, "resume=true"], folder=tmp_path / "again").is_complete


LIMITED = """
import resource, sys
import shopkit
from tests.shop import visits
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    shopkit.run(data=visits(3000), overrides=sys.argv[3:], folder=sys.argv[1])
except shopkit.errors.ShopkitError as error:
    print("Error:", error)
"""


@pytest.mark.parametrize(
    "limit", [pytest.param(4_000, marks=pytest.mark.slow), 20_000, pytest.param(60_000, marks=pytest.mark.slow)]
)
def test_a_file_that_cannot_grow_is_one_message(limit: int, tmp_path: Path) -> None:
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run(
        [sys.executable, "-B", "-c", "import shopkit.errors\n" + LIMITED, str(tmp_path / "run"), str(limit), *OVERRIDES],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("Error: "), done.stdout
    assert not (tmp_path / "run").exists()
