"""The exported file in an environment that has neither shopkit nor torch."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import shopkit
from tests.shop import TABLE, visits

SCRIPT = """
import csv, importlib.util, sys
import numpy as np, onnxruntime as ort
assert not any(importlib.util.find_spec(name) for name in ("shopkit", "torch", "pandas"))
session = ort.InferenceSession(sys.argv[1])
rows = list(csv.DictReader(open(sys.argv[2])))
feed = {}
for value in session.get_inputs():
    texts = [row[value.name] for row in rows]
    is_text = "string" in value.type
    feed[value.name] = np.array(texts, object) if is_text else np.array([float(t) if t else np.nan for t in texts], np.float32)
for probability, label in zip(*session.run(["probability", "label"], feed)):
    print(repr(float(probability)), label)
"""


@pytest.mark.slow
def test_bare_onnxruntime_answers_as_shopkit_predict_does(tmp_path: Path) -> None:
    python = tmp_path / "bare" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    wanted = [f"{name}=={version(name)}" for name in ("onnxruntime", "numpy")]
    # Isolated (-I): what PYTHONPATH names is none of that environment.
    subprocess.run([python, "-I", "-m", "pip", "install", "--quiet", *wanted], check=True)
    run = shopkit.run(data=visits(), overrides=[*TABLE, "model=linear", "features.ignore=[amount, at]"], folder=tmp_path / "run")
    rows = visits().head(40).drop(columns="bought")
    rows.loc[3, "channel"] = "never seen"
    rows.loc[4, "pages"] = np.nan
    rows.to_csv(tmp_path / "rows.csv", index=False)
    shopkit_says = [sys.executable, "-m", "shopkit", "predict", run.path, tmp_path / "rows.csv", "-o", tmp_path / "out.csv"]
    subprocess.run(shopkit_says, check=True)
    bare = subprocess.run(
        [python, "-I", "-c", SCRIPT, run.model_path, tmp_path / "rows.csv"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    expected = pd.read_csv(tmp_path / "out.csv")
    got = pd.DataFrame([line.split(maxsplit=1) for line in bare.stdout.splitlines()], columns=["probability", "label"])
    np.testing.assert_allclose(got["probability"].astype(float), expected["probability"], rtol=1e-6)
    assert got["label"].tolist() == expected["label"].tolist()
