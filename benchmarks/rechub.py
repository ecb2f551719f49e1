"""shopkit's file beside torch-rechub's ONNX export of a comparable model: how fast, and what each can be asked.

    python benchmarks/rechub.py [PATH] --torch-rechub FOLDER [--seconds S] [--json FILE]

PATH is the CSV of https://archive.ics.uci.edu/dataset/468 (Online Shoppers, 17 raw columns), also as .gz; without it, a made
table of the same shape. FOLDER is where benchmarks/peers/setup.sh makes (or made) the peer's own environment. torch-rechub:
DeepFM, embeddings of 8, one hidden layer of 64; its file takes codes and standardised numbers, and is timed without and with the
making of them in Python. shopkit: `mlp`, embeddings of 8, one hidden layer of 64, from raw columns. Both run in the same ONNX
Runtime on one thread; contestants take turns, each figure is a median. The questions that a shop's data asks are put to both
files, and what comes is written down.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from inference import CARDINALITIES, TARGET, table
from timing import medians, of_this_machine, session

import shopkit

HERE = Path(__file__).parent
COMPARABLE = [
    "features.numbers=standardize", "features.strings=vocabulary", "model.hidden=[64]", "model.members=1",
    "model.embedding_dim=8", "model.dropout=0.0", "trainer.max_epochs=2",
]  # fmt: skip
SIZES = (1, 1024)


def peer(frame: pd.DataFrame, environment: Path, folder: Path) -> tuple[bytes, dict[str, np.ndarray], dict[str, Any]]:
    """Its file, the first rows as it takes them, and what it says of itself."""
    subprocess.run([HERE / "peers" / "setup.sh", "torch-rechub", environment], check=True)
    frame.to_csv(folder / "table.csv", index=False)
    command = [environment / "bin" / "python", HERE / "peers" / "torch_rechub_deepfm.py", folder / "table.csv", folder]
    command += ["--target", TARGET, "--strings", *CARDINALITIES]
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=kept | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    rows = dict(np.load(folder / "rows.npz"))
    inputs = {name.removeprefix("input."): values for name, values in rows.items() if name != "scores"}
    model = onnx.load(folder / "deepfm.onnx").SerializeToString()
    (scores,) = session(model, 1).run(None, inputs)
    np.testing.assert_allclose(scores, rows["scores"], atol=1e-5)
    about = json.loads(done.stdout.strip().splitlines()[-1])
    return model, inputs, about | {"files": sorted(path.name for path in folder.glob("deepfm.onnx*"))}


def answer(run: Any, feed: dict[str, np.ndarray]) -> str:
    """What comes of one row: a probability, NaN, or the first line of the error."""
    try:
        probability = float(np.ravel(run(feed))[0])
    except Exception as error:
        return f"error: {str(error).splitlines()[0][:200]}"
    return "NaN" if np.isnan(probability) else f"{probability:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--torch-rechub", type=Path, metavar="FOLDER", required=True)
    parser.add_argument("--seconds", type=float, default=4.0, help="of measuring, for each number of rows")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    frame = table(asked.path).astype({TARGET: np.float32})
    with tempfile.TemporaryDirectory() as scratch:
        model, coded, about = peer(frame, asked.torch_rechub, Path(scratch))
        theirs = session(model, 1)
        overrides = [*COMPARABLE, "evaluation.baselines=[]", "evaluation.permutation_repeats=0"]
        run = shopkit.run("online_shoppers", overrides, data=frame, folder=Path(scratch) / "run")
        ours = session(run.model_path.read_bytes(), 1)
        sizes = {"torch-rechub": len(model), "shopkit": run.model_path.stat().st_size}
        predictor = shopkit.Predictor(run.model_path)
    raw = predictor.canonical(frame.head(max(SIZES)))

    codes = {name: {category: code for code, category in enumerate(known)} for name, known in about["categories"].items()}

    def prepared(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Raw columns as the peer's file takes them."""
        made = {name: np.array([known[value] for value in feed[name].tolist()]) for name, known in codes.items()}
        return made | {name: ((feed[name] - mean) / scale)[:, None] for name, (mean, scale) in scales.items()}

    scales = {name: (np.float32(mean), np.float32(scale)) for name, (mean, scale) in about["scales"].items()}
    np.testing.assert_allclose(theirs.run(None, prepared(raw))[0], theirs.run(None, coded)[0], atol=1e-4)

    microseconds, spread = {}, {}
    for n_rows in SIZES:
        feeds = {name: {key: values[:n_rows].copy() for key, values in rows.items()} for name, rows in (("c", coded), ("r", raw))}
        contestants = {
            "torch-rechub, codes and scaled numbers": lambda feed=feeds["c"]: theirs.run(None, feed),
            "torch-rechub, raw columns": lambda feed=feeds["r"]: theirs.run(None, prepared(feed)),
            "shopkit, raw columns": lambda feed=feeds["r"]: ours.run(["probability"], feed),
        }
        microseconds[f"{n_rows} rows"] = medians(contestants, asked.seconds, spread.setdefault(f"{n_rows} rows", {}))

    one, own = ({name: values[:1] for name, values in rows.items()} for rows in (coded, raw))
    number, text = "PageValues", "Month"
    questions = {
        "a row as it was in training": ({}, {}),
        "a category as the shop writes it": ({text: own[text]}, {}),
        "a missing number": ({number: np.array([[np.nan]], np.float32)}, {number: np.array([np.nan], np.float32)}),
        "a category that training never saw": (
            {text: np.array([len(codes[text])])},
            {text: np.array(["Smarch"], object)},
        ),
        "a missing category (code -1)": ({text: np.array([-1])}, {text: np.array([""], object)}),
        "the last category": (
            {text: np.array([len(codes[text]) - 1])},
            {text: np.array([about["categories"][text][-1]], object)},
        ),
    }
    answers = {
        question: {
            "torch-rechub": answer(lambda feed: theirs.run(None, feed)[0], one | coded_change),
            "shopkit": answer(lambda feed: ours.run(["probability"], feed)[0], own | raw_change),
        }
        for question, (coded_change, raw_change) in questions.items()
    }

    for group, of_group in microseconds.items():
        print(group)
        for name, value in of_group.items():
            print(f"  {name:40} {value:10.1f} µs")
    for question, of_both in answers.items():
        print(question)
        for name, found in of_both.items():
            print(f"  {name:14} {found}")
    if asked.json:
        machine = of_this_machine("shopkit", "onnxruntime", "numpy")
        found = {"microseconds": microseconds, "answers": answers, "bytes": sizes}
        found |= {"spread": spread, "peer": about["peer"], "files of the peer": about["files"]}
        asked.json.write_text(json.dumps({**found, "machine": machine}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
