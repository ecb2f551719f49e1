"""What does training cost beside a hand-written loop? One epoch of the same model, optimiser, batch size and rows.

    python benchmarks/training_overhead.py [--rows 50000] [--json FILE]

`hand-written` is torch alone: a permutation, `index_select` of preloaded tensors, forward, backward, fused AdamW. `shopkit` is
`shopkit.training.fit` as a run calls it, without validation, weight average and early stopping, which the loop does not do
either; `all on` adds them and the checkpoints. `Lightning defaults` is `Trainer.fit` over `DataLoader(TensorDataset)`.
An epoch's time is (time of 1 + N epochs − time of 1 epoch) / N, so that what is paid once is not counted; variants take turns,
medians are shown. One thread.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from timing import of_this_machine
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.base import Arrays
from shopkit.models.mlp import MLP
from shopkit.models.settings import MLPSettings
from shopkit.tasks.binary import Binary
from shopkit.tasks.settings import BinarySettings
from shopkit.training.fit import fit
from shopkit.training.settings import TrainerSettings

N_DENSE = 80
PLAIN = TrainerSettings(lr=1e-3, ema_decay=0.0, patience=0, checkpoint_seconds=1e9)
MODELS = {
    "MLP(64)": MLPSettings(hidden=[64], members=1, embedding_dim=0, dropout=0.0),
    "mlp (default)": MLPSettings(),
}


def spec(n_dense: int) -> FeatureSpec:
    return FeatureSpec(tuple(FeatureBlock(f"x{i}", "identity", "dense", i, 1, (f"x{i}",)) for i in range(n_dense)))


def hand_written(model: MLP, task: Binary, data: Arrays, batch_size: int, epochs: int) -> None:
    x, y = torch.from_numpy(data.features["dense"]), torch.from_numpy(data.target)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for rows in order.split(batch_size):
            optimizer.zero_grad()
            loss = task.loss(model({"dense": x.index_select(0, rows)}), y.index_select(0, rows), None)
            loss.backward()
            optimizer.step()


class DefaultModule(pl.LightningModule):
    """What one writes following Lightning's own quick start."""

    def __init__(self, model: MLP, task: Binary) -> None:
        super().__init__()
        self.model, self.task = model, task

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = self.task.loss(self.model({"dense": batch[0]}), batch[1], None)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=1e-3, weight_decay=0.01)


def lightning_defaults(model: MLP, task: Binary, data: Arrays, batch_size: int, epochs: int, folder: Path) -> None:
    dataset = TensorDataset(torch.from_numpy(data.features["dense"]), torch.from_numpy(data.target))
    trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", default_root_dir=folder)
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        trainer.fit(DefaultModule(model, task), DataLoader(dataset, batch_size=batch_size, shuffle=True))


def seconds(work: Callable[[int], None], epochs: int) -> float:
    """Of one epoch."""
    times = []
    for n in (1, 1 + epochs):
        start = time.perf_counter()
        work(n)
        times.append(time.perf_counter() - start)
    return (times[1] - times[0]) / epochs


@dataclass(frozen=True)
class Question:
    """One model and batch size, and the ways to train it."""

    settings: MLPSettings
    batch_size: int
    task: Binary
    train: Arrays
    validation: Arrays
    folder: Path

    def model(self) -> MLP:
        return MLP(self.settings, spec(N_DENSE), 1)

    def shopkit(self, epochs: int, trainer: TrainerSettings, validation: Arrays) -> None:
        chosen = replace(trainer, max_epochs=epochs, batch_size=self.batch_size)
        fit(self.model(), self.task, self.train, validation, chosen, folder=self.folder, seed=0)

    def ways(self) -> dict[str, Callable[[int], None]]:
        """Name → a function that trains for so many epochs."""
        nothing = Arrays({"dense": self.train.features["dense"][:0]}, self.train.target[:0])
        return {
            "hand-written": lambda n: hand_written(self.model(), self.task, self.train, self.batch_size, n),
            "shopkit": lambda n: self.shopkit(n, PLAIN, nothing),
            "shopkit, all on": lambda n: self.shopkit(n, TrainerSettings(), self.validation),
            "Lightning defaults": lambda n: lightning_defaults(
                self.model(), self.task, self.train, self.batch_size, n, self.folder
            ),
        }

    def answer(self, epochs: int, repeats: int) -> dict[str, float]:
        """Way → median seconds of an epoch; the ways take turns."""
        times: dict[str, list[float]] = {way: [] for way in self.ways()}
        for _ in range(repeats):
            for way, work in self.ways().items():
                times[way].append(seconds(work, epochs))
        return {way: statistics.median(values) for way, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures and the machine to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)

    random = np.random.default_rng(0)
    x = random.standard_normal((arguments.rows, N_DENSE), dtype=np.float32)
    y = (x[:, :8].sum(1) + random.standard_normal(arguments.rows) > 0).astype(np.float32)
    validation = Arrays({"dense": x[: arguments.rows // 5]}, y[: arguments.rows // 5])
    task = Binary(BinarySettings())
    task.fit_target(y)

    results = []
    print(f"{arguments.rows:,} rows × {N_DENSE} features, one epoch, ms (ratio to hand-written)")
    for name, settings in MODELS.items():
        for batch_size in (256, 512):
            with tempfile.TemporaryDirectory() as folder:
                question = Question(settings, batch_size, task, Arrays({"dense": x}, y), validation, Path(folder))
                median = question.answer(arguments.epochs, arguments.repeats)
            base = median["hand-written"]
            shown = " · ".join(f"{way} {t * 1e3:.0f} ({t / base:.2f}×)" for way, t in median.items())
            print(f"  {name}, batch {batch_size}: {shown}", flush=True)
            ratios = {way: t / base for way, t in median.items()}
            results.append({"model": name, "batch_size": batch_size, "epoch_seconds": median, "ratio": ratios})
    if arguments.json:
        report = {"machine": of_this_machine("torch", "pytorch-lightning"), "rows": arguments.rows, "results": results}
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
