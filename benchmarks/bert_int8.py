"""The MiniLM classifier of utterances on the CPU: its file in 32 bits and in 8, beside the same model in eager torch.

    python benchmarks/bert_int8.py FOLDER [--run RUN] [--seconds 12] [--json FILE]

FOLDER holds train.csv.gz, dev.csv.gz and test.csv.gz (see bert_intents.py), which are pooled and parted as there. RUN is where
the run is kept, and found again: fitting takes some minutes, once. Accuracy is that of the files, fed raw utterances, on the
test part; `max_loss` of the exporter holds on the validation part. Speed is that of the model alone, from the tokens and terms
of real utterances, one and 64 at once; and from raw text, where eager torch has Hugging Face's tokenizer and no terms to find.
Contestants take turns; figures are medians, of processor time on one thread, by the wall clock on two.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import onnx
import pandas as pd
import torch
from bert_intents import FIXED, FULL, utterances
from timing import of_this_machine

import shopkit
from shopkit.bench.clock import take_turns
from shopkit.bench.files import BARE, OfFile, OfHalves
from shopkit.bench.rebuilt import Rebuilt
from shopkit.bench.rows import Rows, of_run
from shopkit.runs import Run
from shopkit.runtime import Predictor

EXPORTS = "exports=[optimized, int8]"
FILES = {
    "32 bits": "model.onnx",
    "32 bits, optimized": "exports/optimized/model.optimized.onnx",
    "8 bits": "exports/int8/model.int8.onnx",
}


def fitted(folder: Path, path: Path) -> Run:
    if (path / "manifest.json").is_file():
        return Run.open(path)
    return shopkit.run(None, [*FIXED, *FULL, EXPORTS], data=utterances(folder, few_shot=False), folder=path)


def accuracy(predictor: Predictor, test: pd.DataFrame) -> float:
    labels = [predictor(test[["utterance"]].iloc[at : at + 64])["label"] for at in range(0, len(test), 64)]
    return float((np.concatenate(labels) == test["intent"].to_numpy()).mean())


def contestants(run: Run, rows: Rows, rebuilt: Rebuilt, n_rows: int, threads: int) -> dict[str, Callable[[], Any]]:
    """The model alone, from ready tensors."""
    torch.set_num_threads(threads)
    batch = {name: torch.from_numpy(values) for name, values in rebuilt.tensors(n_rows).items()}
    model = rebuilt.model

    def eager() -> torch.Tensor:
        with torch.inference_mode():
            return model(batch)

    found: dict[str, Callable[[], Any]] = {"eager torch": eager}
    for name, file in FILES.items():
        halves = OfHalves.of(OfFile(run.path / file, rows))
        found[name] = next(one for one in halves.contestants() if one.name == BARE).prepare(n_rows, threads)
    return found


def from_text(run: Run, rows: Rows, rebuilt: Rebuilt, n_rows: int, threads: int) -> dict[str, Callable[[], Any]]:
    """Raw utterances to scores."""
    from tokenizers import Tokenizer

    torch.set_num_threads(threads)
    tokenizer, model = Tokenizer.from_file(str(run.path / "tokenizer.json")), rebuilt.model
    texts = rows.take(n_rows)["utterance"].tolist()
    terms = {name: torch.from_numpy(values) for name, values in rebuilt.tensors(n_rows).items() if name.startswith("bag_")}

    def eager() -> torch.Tensor:
        encoded = tokenizer.encode_batch(texts)
        ids = torch.tensor([encoding.ids for encoding in encoded])
        lengths = torch.tensor([sum(encoding.attention_mask) for encoding in encoded])
        with torch.inference_mode():
            return torch.softmax(model({"tokens": ids, "token_lengths": lengths, **terms}), 1)

    found: dict[str, Callable[[], Any]] = {"tokenizer and eager torch": eager}
    return found | {name: OfFile(run.path / file, rows).run(n_rows, threads) for name, file in FILES.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path, help="where the run is kept; a temporary folder if not given")
    parser.add_argument("--seconds", type=float, default=12.0, help="of measuring, for each line")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run = fitted(arguments.folder, arguments.run or Path(temporary) / "run")
        rows = of_run(run, Predictor(run.model_path), 4096)
        rebuilt = Rebuilt(run, rows)
        table = utterances(arguments.folder, few_shot=False)
        test = table[table["part"] == "test"]
        files: dict[str, dict[str, float]] = {}
        for name, file in FILES.items():
            path = run.path / file
            files[name] = {
                "accuracy": accuracy(Predictor(path), test),
                "bytes": path.stat().st_size,
                "nodes": len(onnx.load(path).graph.node),
            }
            print(f"{name:20} accuracy {files[name]['accuracy']:.4f}, {path.stat().st_size / 1e6:.1f} MB", flush=True)
        figures: dict[str, dict[str, float]] = {}
        for what, made in (("tokens", contestants), ("raw texts", from_text)):
            for threads in (1, 2):
                for n_rows in (1, 64):
                    calls = made(run, rows, rebuilt, n_rows, threads)
                    for call in calls.values():
                        call()
                    timer = time.thread_time if threads == 1 else time.perf_counter
                    times = take_turns(calls, arguments.seconds, timer)
                    medians = {name: float(np.median(of_one)) * 1e6 for name, of_one in times.items()}
                    eager, *others = medians
                    rows_of, on = "row" if n_rows == 1 else "rows", "thread" if threads == 1 else "threads"
                    line = f"{n_rows} {rows_of} from {what}, {threads} {on}"
                    figures[line] = medians | {f"{name}, times as fast": medians[eager] / medians[name] for name in others}
                    print(
                        f"{line:32} " + "  ".join(f"{name} {value / 1e3:.2f} ms" for name, value in medians.items()), flush=True
                    )
    ratios = {
        "fp32 at 1 row (at least 1.9)": figures["1 row from tokens, 1 thread"]["32 bits, times as fast"],
        "int8 at 1 row (at least 4)": figures["1 row from tokens, 1 thread"]["8 bits, times as fast"],
        "int8 at 64 rows (at least 3)": figures["64 rows from tokens, 1 thread"]["8 bits, times as fast"],
        "points of accuracy lost in 8 bits (at most 0.3)": 100 * (files["32 bits"]["accuracy"] - files["8 bits"]["accuracy"]),
    }
    for name, ratio in ratios.items():
        print(f"{name:50} {ratio:8.2f}")
    if arguments.json:
        machine = of_this_machine("onnxruntime", "torch", "transformers", "tokenizers", "numpy")
        result = {"files": files, "microseconds": figures, "ratios": ratios, "machine": machine}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
