"""Training epochs and full-ranking evaluation of `sasrec` beside RecTools' SASRec, on the same data with the same sizes.

    python benchmarks/sasrec_epoch.py SEQUENCES --rectools FOLDER [--json FILE]

SEQUENCES is a Parquet file with a list `items` in each row (Amazon Beauty 5-core); FOLDER is where benchmarks/peers/setup.sh
makes (or made) the peer's own environment. Two blocks, two heads, 64 dimensions, batches of 128, one thread; seconds are
processor time of the process. Contestants take turns, one case after the other. shopkit's epoch holds all that a run's does but
the validation, which is the evaluation here. Sampled losses: RecTools draws 64 items for each step, shopkit 1,024 for all steps
of a batch.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import subprocess
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from shopkit_recommend.models.inputs import FIRST_ITEM
from shopkit_recommend.models.network_settings import LossSettings, SASRecSettings
from shopkit_recommend.models.sasrec import SASRec
from shopkit_recommend.tasks.next_item import NextItem
from shopkit_recommend.tasks.settings import NextItemSettings

from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.features.tensors import Ragged
from shopkit.models.base import Arrays
from shopkit.training.fit import fit
from shopkit.training.scores import score_tensor
from shopkit.training.settings import TrainerSettings

HERE = Path(__file__).parent
EPOCHS = 3
CASES: dict[str, dict[str, Any]] = {
    "softmax, length 50": {"loss": "softmax", "length": 50, "aim": 15, "peer": ["--loss", "softmax"]},
    "sampled, length 20": {
        "loss": "sampled_softmax",
        "length": 20,
        "aim": 3,
        "peer": ["--loss", "sampled_softmax", "--evaluate", "--single", "50"],
    },
}


def arrays(histories: list[np.ndarray], target: np.ndarray, length: int) -> Arrays:
    """Histories (item numbers from 0), cut to their ends, as the feature graph gives them."""
    cut = [history[-length:] for history in histories]
    lengths = np.array([len(history) for history in cut])
    values = (np.concatenate(cut) + FIRST_ITEM).astype(np.int64)[:, None]
    ids = Ragged(values, np.concatenate([[0], np.cumsum(lengths)]), np.int64)
    return Arrays({"sequence_ids": ids, "lengths": lengths}, target)


def ours(sequences: list[np.ndarray], n_items: int, loss: str, length: int) -> dict[str, float]:
    spec = FeatureSpec((FeatureBlock("history", "catalogue", "sequence_ids", 0, 1, ("history",), n_items + FIRST_ITEM),))
    train = arrays([s[:-3] for s in sequences], np.array([s[-3] for s in sequences]), length)
    validation = arrays([s[:-2] for s in sequences], np.array([s[-2] for s in sequences]), length)
    task = NextItem(NextItemSettings())
    task.state = {"classes": [str(item) for item in range(n_items)], "counts": [1] * n_items}
    torch.manual_seed(0)
    model = SASRec(SASRecSettings(max_length=length, loss=LossSettings(name=loss)), spec, n_items)  # type: ignore[arg-type]
    settings = TrainerSettings(max_epochs=EPOCHS, patience=0, batch_size=128, lr=1e-3, weight_decay=0.0, threads=1)
    nothing = replace(validation, features={n: v[:0] for n, v in validation.features.items()}, target=validation.target[:0])
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        fit(model, task, train, nothing, settings, folder=Path(folder), seed=0)
        epoch = (time.process_time() - start) / EPOCHS

    def reduce(scores: torch.Tensor, rows: slice | np.ndarray) -> torch.Tensor:
        return task.summary(scores, torch.from_numpy(validation.target[rows]))

    with torch.no_grad():
        start = time.process_time()
        task.validation_metrics(score_tensor(model, validation.features, reduce), torch.from_numpy(validation.target), None)
        return {"epoch_seconds": epoch, "evaluation_seconds": time.process_time() - start}


def peer(python: Path, table: Path, case: dict[str, Any]) -> dict[str, Any]:
    command = [python, HERE / "peers" / "rectools_sasrec.py", table, "--length", case["length"], *case["peer"]]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=True, env={"OMP_NUM_THREADS": "1"}
    )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def write_interactions(sequences: list[np.ndarray], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["user_id", "item_id", "datetime"])
        days = np.datetime_as_string(np.datetime64("2000-01-01") + np.arange(max(map(len, sequences))))
        for user, sequence in enumerate(sequences):
            writer.writerows((user, item, day) for item, day in zip(sequence[:-2].tolist(), days, strict=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", type=Path)
    parser.add_argument("--rectools", type=Path, metavar="FOLDER", required=True)
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    subprocess.run([HERE / "peers" / "setup.sh", "rectools", asked.rectools], check=True)
    lists = pd.read_parquet(asked.sequences)["items"]
    number = {item: at for at, item in enumerate(sorted({item for items in lists for item in items}))}
    sequences = [np.array([number[item] for item in items]) for items in lists]
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        table = Path(scratch) / "interactions.csv"
        write_interactions(sequences, table)
        for name, case in CASES.items():
            mine = ours(sequences, len(number), case["loss"], case["length"])
            theirs = peer(asked.rectools / "bin" / "python", table, case)
            ratio = theirs["epoch_seconds"] / mine["epoch_seconds"]
            results[name] = {"shopkit": mine, "rectools": theirs, "epoch_ratio": ratio, "aim": case["aim"]}
            results[name]["reached"] = ratio >= case["aim"]
            if "evaluation_seconds" in theirs:
                results[name]["evaluation_ratio"] = theirs["evaluation_seconds"] / mine["evaluation_seconds"]
            print(f"{name}: {mine} against {theirs}: epochs {ratio:.1f} times faster (aim {case['aim']})", flush=True)
    if asked.json:
        about = {"machine": platform.machine(), "torch": version("torch"), "bfloat16": torch.cpu._is_avx512_bf16_supported()}
        asked.json.write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
