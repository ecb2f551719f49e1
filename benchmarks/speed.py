"""The README's table of speed, made of `benchmarks/results/*.json`: which figure stands where, and nothing written by hand.

python benchmarks/table.py writes it, between the head of the table and the line after it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
README = HERE.parent / "README.md"
HEAD = "| speed, one thread, medians of interleaved repeats | ratio |\n|---|---|\n"

Result = dict[str, Any]
Of = Callable[[str], Result]
"""Name of a benchmark → its result."""


def short(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"


def exact(ratio: float) -> str:
    return f"{ratio:.2f}"


def rows(of: Of) -> list[tuple[str, str]]:
    """What was compared, and the figures."""
    ratios, rechub = of("inference")["ratios"], of("rechub")["microseconds"]["1 rows"]
    trees, seconds = of("gbdt"), of("features")["seconds"]
    encoder, classifier = of("bert")["microseconds"], of("bert_int8")
    eight, files = classifier["microseconds"], classifier["files"]
    lost = 100 * (files["32 bits"]["accuracy"] - files["8 bits"]["accuracy"])
    histories, terms = of("sasrec")["results"], of("text_features")["cases"]["Chinese, characters 1–2"]
    epochs = {one["batch_size"]: one["ratio"] for one in of("training_overhead")["results"] if one["model"] == "MLP(64)"}
    texts = [terms[f"milliseconds, {n} rows"] for n in (1, 1000)]
    fast = "times as fast"

    def pair(name: str, *endings: str, form: Callable[[float], str] = exact) -> str:
        return " / ".join(form(ratios[f"{name}{ending}"]) for ending in endings)

    many = ("scikit-learn", "pandas and eager torch")
    return [
        (
            "plain MLP(64) from 17 raw columns: shopkit's file to skl2onnx's, time of one row / 4,096 rows",
            pair("plain / skl2onnx, ", "1 row (at most 1)", "4096 rows (at most 1)"),
        ),
        (
            "default `mlp` to the plain one, one row / 4,096 rows",
            pair("default / plain, ", "1 row (at most 3)", "4096 rows (at most 3)"),
        ),
        (
            "one row: scikit-learn's `predict_proba` / pandas and eager torch, of a DataFrame, to `Predictor`, of a dict",
            pair(
                "",
                "scikit-learn / Predictor, one row (at least 60, aim 100)",
                "pandas and eager torch / Predictor, one row (at least 40)",
                form=short,
            ),
        ),
        (
            "4,096 rows of a DataFrame: scikit-learn / pandas and eager torch to `Predictor`",
            " / ".join(short(ratios[f"{one} / Predictor(DataFrame), 4096 rows"]) for one in many),
        ),
        (
            "the same to the plain file by itself, fed with arrays",
            " / ".join(short(ratios[f"{one} / the file, 4096 rows (at least 4)"]) for one in many),
        ),
        (
            "one row: LightGBM on a one-row DataFrame to `Predictor` from a dict / to its exported file, fed with arrays",
            f"{short(trees['speed_up_predictor'])} / {short(trees['speed_up'])}",
        ),
        (
            "features of 1 million rows × 20 columns: scikit-learn's `ColumnTransformer` to shopkit, transforming / fitting",
            f"{short(seconds['scikit-learn'] / seconds['shopkit'])} / "
            f"{exact(seconds['scikit-learn fit'] / seconds['shopkit fit'])}",
        ),
        (
            "eager torch to the exported model, one row: `bert` (MiniLM, 16 tokens) / `cnn` / `lstm`, bidirectional",
            " / ".join(
                short(found[line][fast])
                for found, line in (
                    (encoder, "1 rows of 16 tokens, 1 threads"),
                    (of("cnn")["microseconds"], "residual, 1 rows, 1 threads"),
                    (of("lstm")["microseconds"], "bidirectional lstm, attention, 1 rows, 1 threads"),
                )
            ),
        ),
        (
            f"eager torch to the utterance classifier in 8 bits ({lost:.2f} points of accuracy lost), one row / 64 rows",
            " / ".join(short(eight[f"{n} from tokens, 1 thread"][f"8 bits, {fast}"]) for n in ("1 row", "64 rows")),
        ),
        (
            "one history to the top 20 of 12,101 items: eager torch / RecTools' `recommend` to the file",
            f"{short(histories['history of 9']['times the file']['this network, last state'])} / "
            f"{short(histories['rectools']['times the file'])}",
        ),
        (
            "DeepFM of torch-rechub, from codes made beforehand / from raw columns, to shopkit's file from raw columns, one row",
            " / ".join(
                short(rechub[f"torch-rechub, {what}"] / rechub["shopkit, raw columns"])
                for what in ("codes and scaled numbers", "raw columns")
            ),
        ),
        (
            "from the start of a process to its first answer: `shopkit.runtime` to bare onnxruntime and numpy",
            exact(of("startup")["first_answer"]["ratio"]),
        ),
        (
            "TF-IDF of a Chinese review / 1,000 of them: scikit-learn to the graph",
            " / ".join(short(one["scikit-learn"] / one["graph"]) for one in texts),
        ),
        (
            "training epoch, MLP(64), batch 256 / 512: shopkit to a hand-written loop (Lightning's defaults: "
            f"{' / '.join(short(epochs[n]['Lightning defaults']) for n in (256, 512))})",
            " / ".join(short(epochs[n]["shopkit"]) for n in (256, 512)),
        ),
    ]


def render(results: Path = RESULTS) -> str:
    """The rows of the table, a line each."""

    @cache
    def of(name: str) -> Result:
        found: Result = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
        return found

    return "".join(f"| {what} | {figures} |\n" for what, figures in rows(of))


def parts(readme: str) -> tuple[str, str, str]:
    """The README up to the table's rows, these, and what comes after them."""
    before, head, rest = readme.partition(HEAD)
    table, blank, after = rest.partition("\n\n")
    return before + head, table + "\n", "\n" + after if blank else ""


def write() -> None:
    before, _, after = parts(README.read_text(encoding="utf-8"))
    README.write_text(before + render() + after, encoding="utf-8")
