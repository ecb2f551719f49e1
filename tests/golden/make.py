"""Writes the golden files of the current artifact format: python -m tests.golden.make

A new folder for each format version; a folder that is there is never written again, since the files stand for those that people
have in production.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import shopkit
from shopkit.runtime.artifact import FORMAT_VERSION
from tests.shop import TABLE, visits

SMALL = ["model.hidden=[4]", "model.members=1", "model.embedding_dim=0", "model.category_dim=2", "trainer.max_epochs=2"]
KINDS = {"plain": SMALL, "sequence": ["model=lstm", "model.hidden_dim=2", "model.head.hidden=[2]", "model.head.members=1"]}
OVERRIDES = [*TABLE, "evaluation.baselines=[]", "trainer.threads=1"]


def frame(kind: str) -> pd.DataFrame:
    table = visits(200)
    if kind == "sequence":
        random = np.random.default_rng(0)
        table["seen"] = [list(random.choice(["a", "b"], random.integers(0, 4))) for _ in range(len(table))]
    return table


def rows_of(kind: str) -> list[dict[str, object]]:
    """Rows to ask of the file: a plain one, an unseen category, and missing values."""
    rows = json.loads(frame(kind).drop(columns="bought").head(4).to_json(orient="records", date_format="iso"))
    rows[1] = {**rows[1], "channel": "never seen"}
    rows[2] = {name: value if name == "customer" else [] if name == "seen" else None for name, value in rows[2].items()}
    return rows


def main() -> None:
    folder = Path(__file__).parent / f"v{FORMAT_VERSION}"
    if any(folder.glob("*.onnx")):
        sys.exit(f"{folder} is there: golden files of a format are made once.")
    folder.mkdir(exist_ok=True)
    for kind, overrides in KINDS.items():
        with tempfile.TemporaryDirectory() as scratch:
            run = shopkit.run(data=frame(kind), overrides=[*OVERRIDES, *overrides], folder=Path(scratch) / "run")
            shutil.copyfile(run.model_path, folder / f"{kind}.onnx")
            if kind == "plain":
                shutil.copytree(run.path, folder / "run", ignore=shutil.ignore_patterns("report.html"))
        rows = rows_of(kind)
        answers = shopkit.Predictor(folder / f"{kind}.onnx")(rows)
        (folder / f"{kind}.json").write_text(json.dumps({"rows": rows, "answers": answers}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
