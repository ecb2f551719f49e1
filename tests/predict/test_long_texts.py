"""A few hundred texts, of which one is a thousand times as long as the others, in a process that may not take much memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shopkit.runs import Run

N_ROWS = 300
LONGEST = 1_000_000
"""Characters: beside 300 others as long, strings of 32 bytes each would take 9.6 GB."""
RUN = [
    "view=table", "view.target=y", "view.keys=[id]", "split=given", "split.column=part", "model=lstm", "model.hidden_dim=4",
    "features.columns.t=[{name: characters, max_length: 16}, {name: word2vec, analyzer: char, dim: 4, epochs: 1}]",
    "evaluation.baselines=[]", "evaluation.n_bootstrap=0", "evaluation.permutation_repeats=0",
    "evaluation.latency_seconds=0.01", "trainer.max_epochs=1", "trainer.max_steps=1",
]  # fmt: skip
LIMIT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (5 << 30, 5 << 30))
import pandas as pd, shopkit
data, folder = sys.argv[1:]
"""


def in_little_memory(code: str, *arguments: object) -> None:
    """Run code in a process of 5 GiB, torch's and DuckDB's libraries included."""
    done = subprocess.run([sys.executable, "-c", LIMIT + code, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("很好喜欢满意这本书的质量太差失望不买"), 14)) for _ in range(N_ROWS)]
    parts = np.repeat(["train", "validation", "test"], N_ROWS // 3)
    for part in ("validation", "test"):
        texts[np.flatnonzero(parts == part)[-1]] = ("质量很好" * LONGEST)[:LONGEST]
    path = tmp_path_factory.mktemp("long") / "reviews.parquet"
    frame = {"id": range(N_ROWS), "t": texts, "y": rng.choice(["a", "b"], N_ROWS), "part": parts}
    pd.DataFrame(frame).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def run(table: Path) -> Run:
    folder = table.parent / "run"
    in_little_memory(f"shopkit.run(data=pd.read_parquet(data), overrides={RUN!r}, folder=folder)", table, folder)
    return Run(folder)


def test_a_run_holds_it_in_every_part_that_the_file_is_asked_about(run: Run) -> None:
    predictions = pd.read_parquet(run.predictions_path)
    assert predictions["id"].tolist() == [str(row) for row in range(2 * N_ROWS // 3, N_ROWS)]


def test_a_frame_is_answered_as_its_rows_are_alone(run: Run, table: Path) -> None:
    code = """
import numpy as np
frame, predictor = pd.read_parquet(data), shopkit.Predictor(folder)
found = predictor(frame)
assert found["id"].tolist() == frame["id"].tolist()
for at in [0, 7, len(frame) - 2, len(frame) - 1]:
    alone = predictor(frame.iloc[at].to_dict())
    np.testing.assert_allclose(found["probability"].iloc[at], alone["probability"], rtol=1e-4)
"""
    in_little_memory(code, table, run.path)


def test_a_file_is_predicted(run: Run, table: Path) -> None:
    output = table.parent / "answers.parquet"
    answered = "predict_file(folder, data, sys.argv[2] + '/../answers.parquet', threads=2)"
    code = f"from shopkit.predict.files import predict_file; {answered}"
    in_little_memory(code, table, run.path)
    frame = pd.read_parquet(table)
    answers = pd.read_parquet(output)
    assert answers["id"].astype(str).tolist() == frame["id"].astype(str).tolist()
    of_run = pd.read_parquet(run.predictions_path)
    np.testing.assert_allclose(answers["probability"].iloc[-len(of_run) :], of_run["probability"], rtol=1e-4)
