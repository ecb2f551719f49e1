"""torch-rechub's DeepFM, trained and exported in its own environment (setup.sh makes it).

    FOLDER/bin/python benchmarks/peers/torch_rechub_deepfm.py table.csv OUT --target Revenue --strings Month Browser …

Its models take codes and numbers, so both are prepared here as its examples do: each category its place in the sorted list of
those in the table, numbers standardised. Leaves in OUT `deepfm.onnx`, and `rows.npz`: the first 1,024 rows as the file takes
them. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.ranking import DeepFM
from torch_rechub.trainers import CTRTrainer
from torch_rechub.utils.data import DataGenerator

warnings.filterwarnings("ignore")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--strings", nargs="+", required=True)
    parser.add_argument("--embedding-dim", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    asked = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(0)
    table = pd.read_csv(asked.table, dtype=dict.fromkeys(asked.strings, str))
    target = table.pop(asked.target).to_numpy(np.float32)
    numbers = [name for name in table if name not in asked.strings]
    columns: dict[str, np.ndarray] = {}
    categories: dict[str, list[str]] = {}
    scales: dict[str, tuple[float, float]] = {}
    for name in asked.strings:
        known, codes = np.unique(table[name].astype(str), return_inverse=True)
        categories[name], columns[name] = known.tolist(), codes.astype(np.int64)
    for name in numbers:
        values = table[name].to_numpy(np.float32)
        scales[name] = float(values.mean()), float(values.std() + 1e-6)
        columns[name] = ((values - scales[name][0]) / scales[name][1]).astype(np.float32)
    sparse = [SparseFeature(name, vocab_size=len(categories[name]), embed_dim=asked.embedding_dim) for name in asked.strings]
    dense = [DenseFeature(name) for name in numbers]
    model = DeepFM(dense + sparse, sparse, {"dims": [64], "activation": "relu", "dropout": 0.0})
    trainer = CTRTrainer(model, optimizer_params={"lr": 1e-3}, n_epoch=asked.epochs, device="cpu", model_path=str(asked.out))
    loader, *_ = DataGenerator(columns, target).generate_dataloader(split_ratio=[0.8, 0.1], batch_size=512)
    for _ in range(asked.epochs):
        trainer.train_one_epoch(loader)
    trainer.model.eval()
    path = asked.out / "deepfm.onnx"
    assert trainer.export_onnx(str(path)), "torch-rechub could not export its model"
    first = {name: values[:1024] for name, values in columns.items()}
    with torch.no_grad():
        scores = trainer.model({name: torch.from_numpy(values) for name, values in first.items()}).numpy()
    # Its file wants numbers as (N, 1).
    fed = {name: values[:, None] if name in numbers else values for name, values in first.items()}
    np.savez(asked.out / "rows.npz", **{f"input.{name}": values for name, values in fed.items()}, scores=scores)
    about = {"peer": f"torch-rechub {version('torch-rechub')}, torch {version('torch')}"}
    print(json.dumps({**about, "categories": categories, "scales": scales}))


if __name__ == "__main__":
    main()
