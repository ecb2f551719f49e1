"""`benchmarks/README.md`, made of `benchmarks/results/*.json`: what was asked, what came out, on which machine. And the table of
speed in the README above it.

python benchmarks/table.py
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import speed

HERE = Path(__file__).parent
RESULTS, README = HERE / "results", HERE / "README.md"

Rule = tuple[str, str]
TIMES, SCORE, PLAIN, MILLISECONDS, SECONDS = "{:.2f}×", "{:.4f}", "{:.2f}", "{:.2f} ms", "{:.2f} s"
SHOWN: dict[str, tuple[Rule, ...]] = {
    "behaviour_lstm": (("results/*/auroc/*", SCORE), ("verdict", "{}")),
    "bert": (("microseconds/*/times as fast", TIMES),),
    "bert_int8": (("ratios/*", PLAIN), ("files/*/accuracy", SCORE)),
    "bert_intents": (("results/*/accuracy", SCORE),),
    "bert_intents_few_shot": (("results/*/accuracy", SCORE),),
    "cnn": (("microseconds/*/times as fast", TIMES),),
    "fashion_mnist": (("fashion_mnist/*/accuracy", SCORE),),
    "features": (("ratio", TIMES), ("seconds/*", SECONDS)),
    "gbdt": (("speed_up", TIMES), ("speed_up_predictor", TIMES), ("auroc_direct", SCORE), ("auroc_shopkit", SCORE)),
    "gpu": (
        ("ratios/*", TIMES),
        ("left_out/*", "{}"),
        ("training/*/rows a second", "{:,.0f}"),
        ("training/*/share of the bf16 peak", "{:.1%}"),
    ),
    "inference": (("ratios/*", PLAIN), ("microseconds/*/*", "{:.1f} µs")),
    "intents_linear": (("results/*/accuracy", SCORE),),
    "load_checks": (("files/*/ms/*", MILLISECONDS),),
    "lstm": (("microseconds/*/times as fast", TIMES),),
    "online_shoppers": (("folds/*/over:auroc", SCORE), ("folds/*/over:average_precision", SCORE)),
    "predict_rows": (("figures/*/rows_per_second", "{:,}"), ("figures/*/peak_mb", "{:,} MB")),
    "rechub": (("microseconds/*/*", "{:.1f} µs"),),
    "recommend_beauty": (("models/*/test/recall_10", SCORE), ("models/*/test/ndcg_10", SCORE)),
    "recommend_sessions": (("data/*/*/test/recall_20", SCORE), ("data/*/*/test/mrr_20", SCORE)),
    "review_recommend": (("figures/*/AUROC", SCORE), ("figures/*/macro F1", SCORE)),
    "reviews_zh_linear": (("results/*/accuracy", SCORE),),
    "sasrec": (("results/*/times the file/*", TIMES), ("results/rectools/times the file", TIMES)),
    "sasrec_accuracy": tuple((f"results/*/{metric}", SCORE) for metric in ("recall_10", "ndcg_10", "recall_20", "mrr_20")),
    "sasrec_epoch": (("results/*/epoch_ratio", TIMES),),
    "scale": (
        ("factors/*/lines", "{:,}"),
        ("factors/*/*/seconds", "{:,.0f} s"),
        ("factors/*/*/anonymous", "{:,.0f} MiB"),
        ("factors/*/*/stopped", "{}"),
        ("from_10_to_100/anonymous", TIMES),
        ("from_10_to_100/resident", TIMES),
        ("from_10_to_100/seconds", TIMES),
    ),
    "session_settings": (("ratios/*", PLAIN),),
    "startup": (("seconds/*", SECONDS),),
    "text_features": (("cases/*/+milliseconds, 1 rows/*", MILLISECONDS), ("cases/*/+milliseconds, 1000 rows/*", MILLISECONDS)),
    "training_overhead": (("results/*/ratio/*", PLAIN),),
    "wordpiece": (("results/*/differ", "{}"), ("results/*/graph, one text, ms", MILLISECONDS)),
}
"""Result → what of it is shown: a path whose `*` stands for every key, and how its values are written; `over:` is the median of a
list's cases, with the lowest and highest; `+` tells two paths apart by a key in the middle. What has no entry shows all its
numbers."""
SHOWN_ANYWAY = "+"
MOST_LINES = 40
SCRIPTS = {"bert_intents_few_shot": "bert_intents"}
MACHINE = ("machine", "versions", "about", "system", "python", "onnxruntime")
"""Keys that tell what a figure was taken on, wherever they stand at the top."""


def render(results: Path = RESULTS) -> str:
    """The whole page."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `python benchmarks/table.py` from `results/*.json`; `python benchmarks/run_all.py --data FOLDER` takes the",
        "figures again. Ratios are of contestants that take turns in one run; where nothing else is said, figures are medians.",
        "`shopkit bench RUN` measures any run of one's own the same way ([docs/bench.md](../docs/bench.md)).",
    ]
    for path in sorted(results.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        found = list(rows(path.stem, result))
        lines += ["", f"## {path.stem}", "", _question(path.stem)]
        lines += ["", "| what | figure |", "|:--|--:|", *(f"| {_cell(what)} | {figure} |" for what, figure in found[:MOST_LINES])]
        if len(found) > MOST_LINES:
            lines += ["", f"And {len(found) - MOST_LINES} more in [results/{path.name}](results/{path.name})."]
        lines += ["", f"<sub>{_cell(machine(result))}</sub>"]
    return "\n".join(lines) + "\n"


def rows(name: str, result: Any) -> Iterator[tuple[str, str]]:
    """What is shown of one result: label and figure, with its spread where the result has one."""
    if name not in SHOWN:
        for label, value in _numbers(result):
            yield label, f"{value:.4g}"
        return
    for path, form in SHOWN[name]:
        for label, value in _at(result, path.split("/"), []):
            yield label, _written(value, form)


def _at(value: Any, path: list[str], seen: list[str]) -> Iterator[tuple[str, Any]]:
    if not path:
        yield ", ".join(seen), value
        return
    step, rest = path[0].removeprefix(SHOWN_ANYWAY), path[1:]
    if step.startswith("over:"):
        key = step.removeprefix("over:")
        values = [float(one[key]) for one in value]
        yield ", ".join([*seen, key]), {"median": median(values), "low": min(values), "high": max(values)}
        return
    if isinstance(value, list):
        # A list of cases: each is named by its plain values.
        named = {
            ", ".join(str(v) for v in one.values() if isinstance(v, (str, int))): one for one in value if isinstance(one, dict)
        }
        value = named
    if not isinstance(value, Mapping):
        return
    for key in value if step == "*" else [step] if step in value else []:
        # What a path names outright is the figure's name only where it stands last.
        label = [*seen, key] if step == "*" or not rest or path[0].startswith(SHOWN_ANYWAY) else seen
        yield from _at(value[key], rest, label)


def _written(value: Any, form: str) -> str:
    if isinstance(value, Mapping) and (middle := value.get("median", value.get("value"))) is not None:
        spread = f" ({form.format(value['low'])} to {form.format(value['high'])})" if {"low", "high"} <= value.keys() else ""
        return form.format(middle) + spread
    return form.format(value) if isinstance(value, (int, float)) or form == "{}" else "–"


def _numbers(value: Any, seen: tuple[str, ...] = ()) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if seen or key not in MACHINE:
                yield from _numbers(item, (*seen, str(key)))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield ", ".join(seen), float(value)


def machine(result: Mapping[str, Any]) -> str:
    """What the figures were taken on, in a line."""
    found: dict[str, str] = {}
    for key in MACHINE:
        value = result.get(key)
        if isinstance(value, Mapping):
            found |= {name: str(item) for name, item in value.items() if isinstance(item, (str, int, float))}
        elif value is not None:
            found[key] = str(value)
    return ", ".join(f"{name} {value}" for name, value in found.items())


def _question(name: str) -> str:
    """The first line of the script's own words."""
    script = HERE / f"{SCRIPTS.get(name, name)}.py"
    if not script.is_file():
        return ""
    words = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    return f"{words.splitlines()[0]} ([{script.name}]({script.name}))" if words else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    README.write_text(render(), encoding="utf-8")
    speed.write()
    print(README, speed.README, sep="\n")


if __name__ == "__main__":
    main()
