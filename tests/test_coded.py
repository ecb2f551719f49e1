"""A column of a file as numbers: those that numpy gives for all of it in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopkit.coded import coded
from shopkit.schema import Schema
from shopkit.split import Rows

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
VALUES = st.one_of(
    st.lists(TEXTS, min_size=1, max_size=60).map(lambda texts: np.array(texts, object)),
    st.lists(st.integers(-5, 5) | st.integers(-(2**62), 2**62), min_size=1, max_size=60).map(lambda n: np.array(n, np.int64)),
    st.lists(st.floats(width=32) | st.sampled_from([0.0, -0.0]), min_size=1, max_size=60).map(lambda n: np.array(n, np.float32)),
    st.lists(st.floats() | st.just(float("nan")), min_size=1, max_size=60).map(np.array),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES, st.integers(1, 20))
def test_codes_and_values_are_those_of_numpy(tmp_path: Path, values: np.ndarray, rows_a_group: int) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(
        pa.table({'a "name"': values, "place": values, "value": values, "examples": values}), path, row_group_size=rows_a_group
    )
    in_memory = Rows(Schema(()), len(values), lambda _: values)
    with coded(path, 'a "name"') as found:
        codes, distinct = found.codes(len(values)), found.distinct()
        assert found.n_distinct == len(distinct)
    assert codes.dtype == np.int32
    np.testing.assert_array_equal(codes, in_memory.codes("x"))
    np.testing.assert_array_equal(distinct.astype(str) if values.dtype == object else distinct, in_memory.distinct("x"))
    assert distinct.dtype == values.dtype
