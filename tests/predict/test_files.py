from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shopkit
from shopkit.cli import main
from shopkit.errors import ArtifactError, ConfigError, DataError, RunError
from shopkit.predict import files
from shopkit.predict.csv_rows import csv_batches
from shopkit.predict.files import predict_file
from shopkit.predict.written import Written
from shopkit.runtime import Predictor
from shopkit.schema import Schema
from shopkit.sources.files import FilesSource
from shopkit.sources.settings import FilesSettings
from tests.handmade import exported_file
from tests.shop import QUICK, visits


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return exported_file(tmp_path)


def table(n_rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "customer": np.arange(n_rows),
            "note": "not needed",
            "price": np.where(rng.random(n_rows) < 0.1, np.nan, rng.normal(size=n_rows)),
            "color": rng.choice(np.array(["red", "blue", "never seen", None], object), n_rows),
        }
    )


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
def test_a_file_is_answered_batch_by_batch_as_a_frame_is(artifact: Path, tmp_path: Path, ending: str) -> None:
    frame = table(1000)
    data, output = tmp_path / f"in{ending}", tmp_path / f"out{ending}"
    if ending == ".parquet":
        frame.to_parquet(data)
    else:
        frame.to_csv(data, index=False, sep="\t" if ending == ".tsv" else ",")
    batches: list[int] = []
    assert predict_file(artifact, data, output, batch_rows=300, on_batch=batches.append) == 1000
    answer = pd.read_parquet(output) if ending == ".parquet" else pd.read_csv(output, sep="\t" if ending == ".tsv" else ",")
    expected = Predictor(artifact)(frame)
    assert list(answer.columns) == ["customer", "probability", "label"]
    np.testing.assert_allclose(answer["probability"], expected["probability"], rtol=1e-6)
    assert answer["label"].tolist() == expected["label"].tolist()
    assert answer["customer"].astype(int).tolist() == list(range(1000))
    assert sum(batches) == 1000


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_rows_and_messages_do_not_depend_on_the_number_of_threads(artifact: Path, tmp_path: Path, threads: int) -> None:
    frame = table(10_000)
    frame.to_parquet(tmp_path / "in.parquet")
    seen: list[int] = []
    predict_file(
        artifact,
        tmp_path / "in.parquet",
        tmp_path / "out.parquet",
        threads=threads,
        batch_rows=700,
        on_columns=lambda predictor, columns: seen.append(len(columns["price"])),
    )
    expected = Predictor(artifact)(frame)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), expected, check_dtype=False)
    assert sum(seen) == 10_000
    frame.loc[[7777, 9999], "price"] = np.inf
    frame.to_parquet(tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"Column 'price', row 7777: inf is not a finite number"):
        predict_file(artifact, tmp_path / "in.parquet", tmp_path / "none.parquet", threads=threads, batch_rows=700)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(("none", ".none"))]


def test_true_and_false_are_numbers(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("price,color\nTrue,red\nfalse,red\n,red\n")
    predict_file(artifact, tmp_path / "in.csv", tmp_path / "out.csv")
    expected = Predictor(artifact)({"price": [1.0, 0.0, None], "color": ["red"] * 3})["probability"]
    np.testing.assert_allclose(pd.read_csv(tmp_path / "out.csv")["probability"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("price,color\n1,red\ncheap,red\n", r"Column 'price', row 1: 'cheap' is not a number\."),
        ("price,color\n1,red\ninf,red\n", r"Column 'price', row 1: inf is not a finite number"),
        ("prise,color\n1,red\n", r"has no column 'price', which model\.onnx needs\. Did you mean 'prise'\?"),
        ("price,color\n1,red\n1,red,3\n", r"in\.csv, row 1: expected 2 fields as in the header, found 3: '1,red,3'"),
        ("", r"in\.csv is empty\."),
        ("\n\n", r"in\.csv is empty\."),
        ("price,color,price\n1,red,2\n", r"in\.csv has several columns 'price', and one is to be read\. Leave out"),
        ('price,color\n1,red\n2,"blue\n3,red\n', r"in\.csv, line 3: a quote that is opened here is never closed"),
        ("price,color\n1,red\n1_000,red\n", r"Column 'price', row 1: '1_000' is not a number\."),
        ("price,color\n1,red\n 1 000 ,red\n", r"Column 'price', row 1: ' 1 000 ' is not a number\."),
        ("price,color\n1," + "x" * (9 << 20) + "\n2,red\n", r"in\.csv: a row is longer than 4 MiB"),
        (
            "price,color,customer,customer\n1,red,2,3\n",
            r"in\.csv has several columns 'customer', and one is to be read\. Leave out",
        ),
    ],
)
def test_a_bad_file_is_named_and_nothing_is_left(artifact: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "in.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        predict_file(artifact, tmp_path / "in.csv", tmp_path / "out.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "model.onnx"}


def test_blanks_around_a_number_are_none_of_it(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("price,color\n 3.5 ,red\n   ,red\n TRUE,red\n")
    predict_file(artifact, tmp_path / "in.csv", tmp_path / "out.csv")
    expected = Predictor(artifact)({"price": [3.5, None, 1.0], "color": ["red"] * 3})["probability"]
    np.testing.assert_allclose(pd.read_csv(tmp_path / "out.csv")["probability"], expected, rtol=1e-6)


def test_a_parquet_file_with_a_column_twice_is_refused(artifact: Path, tmp_path: Path) -> None:
    columns = [pa.array([1.0]), pa.array([2.0]), pa.array(["red"])]
    pq.write_table(pa.table(columns, names=["price", "price", "color"]), tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"in\.parquet has several columns 'price', and one is to be read"):
        predict_file(artifact, tmp_path / "in.parquet", tmp_path / "out.parquet")


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_table_without_rows_gives_an_answer_without_rows(artifact: Path, tmp_path: Path, ending: str, threads: int) -> None:
    full, none = table(3)[["customer", "price", "color"]], tmp_path / f"none.{ending}"
    full.to_parquet(tmp_path / "full.parquet")
    predict_file(artifact, tmp_path / "full.parquet", tmp_path / "full-out.parquet")
    empty = full.iloc[:0]
    empty.to_parquet(none) if ending == "parquet" else empty.to_csv(none, index=False, sep="\t" if ending == "tsv" else ",")
    assert predict_file(artifact, none, tmp_path / "out.parquet", threads=threads) == 0
    expected, found = pq.read_schema(tmp_path / "full-out.parquet"), pq.read_table(tmp_path / "out.parquet")
    assert found.num_rows == 0
    assert found.schema.names == expected.names
    assert found.schema.field("probability") == expected.field("probability")
    assert predict_file(artifact, none, tmp_path / "out.csv", threads=threads) == 0
    assert (tmp_path / "out.csv").read_text() == ",".join(f'"{name}"' for name in expected.names) + "\n"


def test_the_data_are_not_written_over(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("price,color\n1,red\n")
    (tmp_path / "link.csv").symlink_to("in.csv")
    for name in ("in.csv", "link.csv"):
        with pytest.raises(RunError, match=rf"Cannot write .*{name}: it is the data to score, which would be lost"):
            predict_file(artifact, tmp_path / "in.csv", tmp_path / name)
    assert (tmp_path / "in.csv").read_text() == "price,color\n1,red\n"


def test_a_full_disk_says_what_to_do(artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in.csv").write_text("price,color\n1,red\n")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_writer", full)
    with pytest.raises(RunError, match=r"out\.csv: No space left on device\. Free some space or name a file elsewhere\.$"):
        predict_file(artifact, tmp_path / "in.csv", tmp_path / "out.csv")


@pytest.mark.parametrize("name", ["threads", "batch_rows"])
def test_numbers_below_none_are_refused(artifact: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is -1; it must be at least 1, or 0 to leave the choice to shopkit"):
        predict_file(artifact, tmp_path / "in.csv", tmp_path / "out.csv", **{name: -1})


def test_unusable_paths_are_named(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("price,color\n1,red\n")
    with pytest.raises(DataError, match=r"There is no file .*im\.csv\. Did you mean 'in\.csv'\?"):
        predict_file(artifact, tmp_path / "im.csv", tmp_path / "out.csv")
    with pytest.raises(
        DataError, match=r"in\.xls: cannot tell the format from '\.xls'\. Use one of \.csv, \.tsv, \.txt, \.parquet"
    ):
        predict_file(artifact, tmp_path / "in.xls", tmp_path / "out.csv")
    with pytest.raises(RunError, match=r"Cannot write .*: there is no folder .*nowhere"):
        predict_file(artifact, tmp_path / "in.csv", tmp_path / "nowhere" / "out.csv")


def test_rows_may_come_in_batches_and_what_is_no_input_names_them(artifact: Path, tmp_path: Path) -> None:
    frame = table(30)
    batches = pa.Table.from_pandas(frame, preserve_index=False).to_batches(max_chunksize=12)
    assert predict_file(artifact, batches, tmp_path / "out.parquet") == 30
    answer = pd.read_parquet(tmp_path / "out.parquet")
    assert list(answer.columns) == ["customer", "note", "probability", "label"]
    assert answer["label"].tolist() == Predictor(artifact)(frame)["label"].tolist()


def test_a_folder_that_no_source_reads(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOPKIT_PLUGINS", "")
    assert main(["predict", str(artifact), str(tmp_path), "-o", str(tmp_path / "out.csv")]) == 1
    said = capsys.readouterr().err
    assert f"{tmp_path} is a folder, and no source that is installed reads folders. Give a CSV, TSV or Parquet file" in said
    with pytest.raises(ConfigError, match=r"FilesSource does not read the rows of a folder\. Give a CSV"):
        FilesSource(FilesSettings()).rows(tmp_path, Predictor(artifact).inputs)


def shop_as(path: Path, frame: pd.DataFrame, **how: object) -> Path:
    frame.assign(at=pd.to_datetime(frame["at"]).dt.strftime("%d/%m/%Y")).to_csv(path, index=False, **how)  # type: ignore[call-overload]
    return path


def test_a_text_is_read_as_the_training_data_were(tmp_path: Path) -> None:
    """Delimiter, decimal comma, days before months, encoding and what means missing: of a file in the shop's own way."""
    frame = visits()[["at", "price", "channel", "bought"]]
    frame["channel"] = frame.channel.map({"mail": "None", "search": "K\u00fcche", "social": "-"})
    data = shop_as(tmp_path / "shop.csv", frame, sep=";", decimal=",", encoding="cp1252", na_rep="-")
    told = ["encoding=cp1252", "decimal=','", "timestamp_format='%d/%m/%Y'", "null_values=['-']"]
    overrides = ["source=files", f"source.path={data}", *(f"source.{setting}" for setting in told)]
    overrides += ["view=table", "view.target=bought", "split=stratified", "model=linear", "evaluation.baselines=[]", *QUICK]
    run = shopkit.run(overrides=overrides, folder=tmp_path / "run")
    known = frame.assign(at=frame["at"].dt.normalize(), channel=frame.channel.replace("-", None))
    expected = Predictor(run.path)(known)["probability"]
    answers = {
        "as it was": data,
        "in UTF-8, with commas": shop_as(tmp_path / "plain.csv", frame, na_rep="-"),
        "zipped": shop_as(tmp_path / "zipped.csv.gz", frame, sep="\t", encoding="cp1252", decimal=",", na_rep="-"),
        "with a mark": shop_as(tmp_path / "marked.txt", frame, sep="|", encoding="utf-8-sig", na_rep="-"),
    }
    for how, path in answers.items():
        predict_file(run.path, path, tmp_path / "out.csv")
        np.testing.assert_allclose(pd.read_csv(tmp_path / "out.csv")["probability"], expected, rtol=1e-5, err_msg=how)
    odd = shop_as(tmp_path / "odd.csv", frame).read_text().replace("01/01/2024", "1 Jan 24", 1)
    (tmp_path / "odd.csv").write_text(odd)
    with pytest.raises(DataError, match=r"Column 'at', row 0: '1 Jan 24' is not a time as in the training data, %d/%m/%Y, nor"):
        predict_file(run.path, tmp_path / "odd.csv", tmp_path / "out.csv")


def test_an_empty_line_is_the_missing_value_of_a_lone_column(artifact: Path, tmp_path: Path) -> None:
    class Lone:
        def __init__(self) -> None:
            found = Predictor(artifact)
            self.schema = Schema((found.schema["color"],))
            self.inputs, self.description, self.path, self.require = (
                self.schema,
                found.description,
                found.path,
                lambda names: None,
            )

    (tmp_path / "in.csv").write_text("color\nred\n\nblue\n")
    (rows,) = csv_batches(tmp_path / "in.csv", "csv", Lone())  # type: ignore[arg-type]
    assert rows.column(0).to_pylist() == ["red", None, "blue"]


@pytest.mark.parametrize(
    "said", ["text", {"encoding": "utf-9"}, {"decimal": "x"}, {"null_values": [1]}, {"delimiter": "ab"}, {"null_values": 3}]
)
def test_what_a_file_says_untrue_of_its_text_is_refused(artifact: Path, said: object) -> None:
    predictor = Predictor(artifact)
    predictor.description.facts["text"] = said
    with pytest.raises(ArtifactError, match=r"what the file says of itself of the text it was trained on cannot be read"):
        Written.of(predictor)


@pytest.mark.parametrize(("name", "message"), [("in.xlsx", r"'\.xlsx'.* Save the sheet as CSV"), ("in.parquet.gz", r"'\.gz'")])
def test_a_table_of_another_format_is_named(artifact: Path, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=message):
        predict_file(artifact, tmp_path / name, tmp_path / "out.csv")


def test_bytes_of_another_encoding_are_told(artifact: Path, tmp_path: Path) -> None:
    for text in ("price,color\n1,K\u00fcche\n", "price,K\u00fcche\n1,red\n"):
        (tmp_path / "in.csv").write_text(text, encoding="latin-1")
        with pytest.raises(DataError, match=r"in\.csv is not utf-8 text\. Save it as UTF-8"):
            predict_file(artifact, tmp_path / "in.csv", tmp_path / "out.csv")
