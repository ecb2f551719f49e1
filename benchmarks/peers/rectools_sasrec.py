"""RecTools' SASRec, timed in its own environment (setup.sh makes it): epochs of training and a full-ranking evaluation.

    FOLDER/bin/python benchmarks/peers/rectools_sasrec.py interactions.csv --loss softmax --length 50 --seconds 60

Reads a CSV of `user_id,item_id,datetime`, and prints one line of JSON. Seconds are processor time of the process, on one thread.
An epoch that takes longer than `--seconds` is measured on a share of its batches, as many as fit, and counted in full.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import warnings
from importlib.metadata import version

import pandas as pd
import pytorch_lightning as pl
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

warnings.filterwarnings("ignore")


class Clock(pl.Callback):
    """Ends training when the time is up, and counts batches and the seconds from the first batch to the last."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.batches, self.spent = seconds, 0, 0.0

    def __deepcopy__(self, memo: object) -> Clock:
        return self  # RecTools trains with a copy of the trainer

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.n_batches, self.started = len(trainer.train_dataloader), time.process_time()

    def on_train_batch_end(self, trainer: pl.Trainer, *rest: object) -> None:
        self.batches += 1
        self.spent = time.process_time() - self.started
        if self.spent > self.seconds:
            raise EnoughError


class EnoughError(Exception):
    pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("interactions")
    parser.add_argument("--loss", default="softmax", choices=("softmax", "sampled_softmax", "gBCE"))
    parser.add_argument("--negatives", type=int, default=64)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--single", type=int, default=0, help="also the 20 best items of one user, so many times")
    parser.add_argument("--evaluate", action="store_true", help="also the 10 best items of every user, once")
    asked = parser.parse_args()

    torch.set_num_threads(1)
    table = pd.read_csv(asked.interactions)
    table[Columns.Weight] = 1.0
    dataset = Dataset.construct(table)
    clock = Clock(asked.seconds)
    model = SASRecModel(
        n_blocks=asked.blocks,
        n_heads=asked.heads,
        n_factors=asked.dim,
        dropout_rate=0.5,
        session_max_len=asked.length,
        loss=asked.loss,
        n_negatives=asked.negatives,
        batch_size=asked.batch_size,
        epochs=1,
        get_trainer_func=lambda: pl.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[clock],
        ),
    )
    finished = True
    try:
        model.fit(dataset)
    except EnoughError:
        finished = False
    found = {
        "loss": asked.loss,
        "length": asked.length,
        "epoch_seconds": clock.spent * clock.n_batches / clock.batches,
        "batches_measured": clock.batches,
        "batches": clock.n_batches,
        "peer": f"RecTools {version('rectools')}, torch {version('torch')}",
    }
    if asked.evaluate and finished:
        start = time.process_time()
        users = table[Columns.User].unique()
        answers = model.recommend(users=users, dataset=dataset, k=10, filter_viewed=True)
        found |= {"evaluation_seconds": time.process_time() - start, "rows": math.ceil(len(answers) / 10)}
    if asked.single and finished:
        users, times = table[Columns.User].unique(), []
        for user in users[: asked.single]:
            start = time.perf_counter()
            model.recommend(users=[user], dataset=dataset, k=20, filter_viewed=True)
            times.append(time.perf_counter() - start)
        found["one_user_milliseconds"] = sorted(times)[len(times) // 2] * 1e3
    print(json.dumps(found))


if __name__ == "__main__":
    main()
