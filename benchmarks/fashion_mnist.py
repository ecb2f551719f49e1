"""Fashion-MNIST: `product_image` from raw pixels to test accuracy, beside softmax regression and the classic small network.

    python benchmarks/fashion_mnist.py PATH [--experiments product_image product_image_long] [--threads 1]
        [--folder FOLDER] [--json FILE]

PATH is a folder with the four IDX files. The given split, 5,000 of the training images held out. Accuracy is counted here, from
what the exported file answers to the 10,000 test images as they stand in the IDX files: uint8 (N, 28, 28, 1). By default
it is `product_image`; `product_image_long` takes an hour on one core. A FILE that is there keeps its other figures, and FOLDER
keeps the runs. Times are of this process, by the clock and of the CPU: on a busy machine the latter says more.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import shopkit_vision.idx as idx
from shopkit_vision.fashion_mnist import CLASSES
from timing import of_this_machine

import shopkit
from shopkit import Predictor

AIMS = {"product_image": 0.930, "product_image_long": 0.945}
PUBLISHED = {
    "MLP 256-128-100": 0.883,
    "XGBoost": 0.898,
    "2 convolutions, below 100k parameters": 0.925,
    "HOG + SVM": 0.926,
    "ResNet18": 0.949,
    "WRN-40-4": 0.967,
    "human": 0.835,
}
"""Accuracies in the table of github.com/zalandoresearch/fashion-mnist, as their authors report them."""


def test_part(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (10,000, 28, 28, 1) and the classes' names."""
    images = idx.array(idx.content(path / "t10k-images-idx3-ubyte.gz"), 3, "images")
    labels = idx.array(idx.content(path / "t10k-labels-idx1-ubyte.gz"), 1, "labels")
    return images[..., np.newaxis], np.array(CLASSES)[labels]


def measured(name: str, path: Path, threads: int, kept: Path | None) -> dict[str, Any]:
    images, labels = test_part(path)
    clock, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"source.path={path.resolve()}", f"trainer.threads={threads}"]
        run = shopkit.run(name, overrides, folder=(kept or Path(folder)) / name)
        whole = {"clock": time.perf_counter() - clock, "cpu": time.process_time() - cpu}
        answers = Predictor(run.path)({"image": images})
        train, export, metrics = run.facts("train") or {}, run.facts("export") or {}, run.metrics
    accuracy = float((answers["label"] == labels).mean())
    spread = 1.96 * (accuracy * (1 - accuracy) / len(labels)) ** 0.5
    return {
        "accuracy": accuracy,
        "low": accuracy - spread,
        "high": accuracy + spread,
        "aim": AIMS[name],
        "parameters": train["n_parameters"],
        "epochs": len(train["history"]),
        "training minutes": train["seconds"] / 60,
        "whole run, minutes": whole["clock"] / 60,
        "whole run, CPU minutes": whole["cpu"] / 60,
        "largest difference of file and model": max(export["checks"].values()),
        "baselines": {baseline: found["metrics"]["accuracy"]["value"] for baseline, found in metrics["baselines"].items()},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, metavar="PATH")
    parser.add_argument("--experiments", nargs="+", choices=list(AIMS), default=["product_image"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = {}
    if arguments.json and arguments.json.is_file():
        figures = json.loads(arguments.json.read_text())["fashion_mnist"]
    for name in arguments.experiments:
        figures[name] = found = measured(name, arguments.path, arguments.threads, arguments.folder)
        print(f"{name:24} {found['accuracy']:.4f} [{found['low']:.4f}, {found['high']:.4f}]  aim {found['aim']:.3f}", flush=True)
        print(f"    {found['training minutes']:.1f} min of training, {found['whole run, CPU minutes']:.1f} CPU minutes in all")
        for baseline, accuracy in found["baselines"].items():
            print(f"    {baseline:20} {accuracy:.4f}")
        if arguments.json:
            machine = {"threads": arguments.threads} | of_this_machine("shopkit", "onnxruntime", "torch", "numpy")
            arguments.json.write_text(
                json.dumps({"fashion_mnist": figures, "published": PUBLISHED, "machine": machine}, indent=2)
            )
    missed = [name for name in arguments.experiments if figures[name]["accuracy"] < AIMS[name]]
    return len(missed)


if __name__ == "__main__":
    sys.exit(main())
