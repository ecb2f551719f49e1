"""The training part in an engine of its own, and the questions that are asked of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopkit.features.aggregates import answers, counts, mean_and_scale, n_missing, present, quantiles
from shopkit.features.training_part import training_part
from shopkit.schema import MISSING_TIME

NAN = float("nan")
N = 50
IS_TRAIN = np.arange(N) % 3 != 1
ROWS = np.flatnonzero(IS_TRAIN)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    table = pa.table(
        {
            "x": pa.array([NAN if i % 7 == 0 else i / 3 for i in range(N)], pa.float32()),
            "none": pa.array([NAN] * N, pa.float32()),
            "s": ["", "b", "a", "c", "a"] * (N // 5),
            "at": pa.array([MISSING_TIME if i % 5 == 0 else 100 * i for i in range(N)], pa.int64()),
        }
    )
    pq.write_table(table, tmp_path / "examples.parquet", row_group_size=8)
    return tmp_path / "examples.parquet"


@pytest.mark.parametrize("of_all", [True, False])
def test_rows_target_and_weight_in_order(examples: Path, of_all: bool):
    target, weight = np.arange(N) * 2.0, np.arange(N) + 0.5
    given = (target, weight) if of_all else (target[ROWS], weight[ROWS])
    with training_part(examples, IS_TRAIN, *given, n_classes=4, seed=9, classes=["a", "b"]) as context:
        table = context.table.mutate(y=context.target, w=context.weight).to_pyarrow()
        assert table[context.row].to_pylist() == list(range(len(ROWS)))
        assert table["y"].to_pylist() == target[ROWS].tolist()
        assert table["w"].to_pylist() == weight[ROWS].tolist()
        np.testing.assert_array_equal(table["x"].to_numpy(), pq.read_table(examples)["x"].to_numpy()[ROWS])
        assert (context.n_classes, context.seed, context.classes) == (4, 9, ("a", "b"))
        assert not {"shopkit_place", "file_row_number"} & set(table.column_names)


def test_without_target_and_weight(examples: Path):
    with training_part(examples, IS_TRAIN) as context:
        assert (context.target, context.weight, context.n_classes, context.seed, context.classes) == (None, None, 0, 0, ())
        assert context.table.columns == ("x", "none", "s", "at", context.row)
        assert context.table.count().to_pyarrow().as_py() == len(ROWS)


def test_it_lives_in_the_folder_while_it_is_used(examples: Path, tmp_path: Path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    with training_part(examples, IS_TRAIN, folder=folder) as context:
        assert len(list(folder.rglob("train.duckdb"))) == 1
        engine = context.table.get_backend().con
        settings = dict(engine.execute("SELECT name, value FROM duckdb_settings()").fetchall())
        assert settings["threads"] == "1"
        assert settings["temp_directory"].startswith(str(folder))
    assert list(folder.iterdir()) == []
    with training_part(examples, IS_TRAIN, folder=folder, memory=300 << 20) as context:
        (limit,) = context.table.get_backend().con.execute("SELECT current_setting('memory_limit')").fetchone()
        assert limit.startswith("300.0 MiB")


def test_it_is_gone_after_an_error_too(examples: Path, tmp_path: Path):
    folder = tmp_path / "scratch"
    folder.mkdir()
    with pytest.raises(ZeroDivisionError), training_part(examples, IS_TRAIN, folder=folder):
        raise ZeroDivisionError
    assert list(folder.iterdir()) == []


def test_questions(examples: Path):
    x = pq.read_table(examples)["x"].to_numpy()[ROWS].astype(np.float64)
    known = x[~np.isnan(x)]
    with training_part(examples, IS_TRAIN) as context:
        values = present(context.table["x"])
        assert answers(context, n=values.count(), low=values.min()) == {"n": len(known), "low": known.min()}
        assert n_missing(context, "x") == np.isnan(x).sum()
        assert n_missing(context, "none") == len(ROWS)
        assert n_missing(context, "s") == sum(i % 5 == 0 for i in ROWS)
        assert n_missing(context, "at") == sum(i % 5 == 0 for i in ROWS)
        np.testing.assert_allclose(mean_and_scale(values, context), [known.mean(), known.std()])
        np.testing.assert_allclose(quantiles(values, [0, 0.3, 1], context), np.quantile(known, [0, 0.3, 1]))
        nothing = present(context.table["none"])
        assert mean_and_scale(nothing, context) == (0.0, 1.0)
        assert quantiles(nothing, [0, 1], context).tolist() == []
        texts = ["", "b", "a", "c", "a"]
        of_train = [texts[i % 5] for i in ROWS]
        expected = sorted(((of_train.count(text), text) for text in set(texts)), key=lambda pair: (-pair[0], pair[1]))
        found, n = counts("s", context, 1, 100)
        assert list(zip(n.tolist(), found, strict=True)) == expected
        assert counts("s", context, expected[0][0], 100)[0].tolist() == [expected[0][1]]
        assert counts("s", context, 1, 2)[0].tolist() == [text for _, text in expected[:2]]
