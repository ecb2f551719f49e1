"""One customer's history to the 20 best of 12,101 items: the exported file beside the same network in eager torch.

    python benchmarks/sasrec.py [--seconds 5] [--rectools FOLDER] [--json FILE]

All take the shop's own item ids (text) and give them: the file as it is, in bare onnxruntime; eager torch with a dict of ids
before it and a list of them after it. Contestants take turns of twenty calls; medians of single calls by the wall clock, one
thread. Eager torch is measured three times: as one writes it with torch's own modules (padded to 50 steps,
`nn.TransformerEncoder`, the same weights, the last step scored); with this network's code, which computes the last state only;
and with the scores of all 50 padded steps, as training code does. All must give the same items, in whatever order of equal
scores. The floor is a file that only multiplies a state with the item matrix and picks the best: no file that ranks the whole
catalogue is faster. With the environment that benchmarks/peers/rectools.sh makes, RecTools' SASRec of the same size answers one
user after another as well. Weights are untrained, which changes no time.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pyarrow.parquet as pq
import torch
from made_sequences import write
from onnx import TensorProto, helper, numpy_helper
from shopkit_recommend.models.inputs import FIRST_ITEM
from shopkit_recommend.models.sasrec import SASRec
from shopkit_recommend.models.seen import mask_seen
from torch import nn

import shopkit
from shopkit import fitting

N_ITEMS, N_CUSTOMERS, LENGTH, K = 12_101, 4_000, 50, 20
TURN = 20
"""Calls in a row of one contestant: as where a process answers with one model."""


def exported(folder: Path) -> tuple[Any, Path, list[str]]:
    """The network as it was trained for a step, its file, and the catalogue."""
    write(folder / "made.parquet", N_CUSTOMERS, N_ITEMS)
    kept: list[Any] = []
    fit = fitting.training.fit

    def keeping(model: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
        kept.extend([model, task])
        return fit(model, task, *args, **kwargs)

    fitting.training.fit = keeping  # type: ignore[assignment]
    quick = ["trainer.max_epochs=1", "trainer.max_steps=1", "evaluation.baselines=[]", "evaluation.n_bootstrap=2"]
    changes = [f"source.path={folder / 'made.parquet'}", f"task.k={K}", f"task.cutoffs=[{K}]", "trainer.threads=1", *quick]
    run = shopkit.run("next_item_sequences", changes, folder=folder / "run")
    fitting.training.fit = fit  # type: ignore[assignment]
    model, task = kept[:2]
    return model.eval(), run.model_path, task.state["classes"]


class Plain(nn.Module):
    """The network in torch's own modules, as one writes it: ids (batch, length) → states (batch, length, dim)."""

    def __init__(self, model: SASRec) -> None:
        super().__init__()
        dim, heads = model.settings.dim, model.settings.heads
        self.dim = dim
        self.items = nn.Embedding.from_pretrained(model.items.detach())
        self.places = nn.Embedding.from_pretrained(model.places.detach())
        layer = nn.TransformerEncoderLayer(dim, heads, dim, 0.5, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, len(model.blocks), norm=model.norm, enable_nested_tensor=False)
        for block, layer in zip(model.blocks, self.encoder.layers, strict=True):
            attention = layer.self_attn
            attention.in_proj_weight.data = torch.cat([block.query.weight, block.key_value.weight]).detach()
            attention.in_proj_bias.data = torch.cat([block.query.bias, block.key_value.bias]).detach()
            attention.out_proj, layer.linear1, layer.linear2 = block.out, block.widen, block.narrow
            layer.norm1, layer.norm2 = block.norm, block.norm_after

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.items(ids) * self.dim**0.5 + self.places(torch.arange(ids.shape[1]))
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        return self.encoder(x, mask=mask, is_causal=True)


def numbers(items: list[str]) -> dict[str, int]:
    return {item: at + FIRST_ITEM for at, item in enumerate(items)}


def by_torch_modules(model: SASRec, items: list[str]) -> Callable[[list[str]], list[str]]:
    number, plain = numbers(items), Plain(model).eval()

    @torch.inference_mode()
    def answer(history: list[str]) -> list[str]:
        ids = [number.get(item, 1) for item in history[-LENGTH:]]
        padded = torch.tensor([ids + [0] * (LENGTH - len(ids))])
        state = plain(padded)[:, len(ids) - 1]
        scores = (state @ plain.items.weight[FIRST_ITEM:].T)[0]
        scores[[known - FIRST_ITEM for known in ids if known >= FIRST_ITEM]] = -torch.inf
        return [items[place] for place in torch.topk(scores, K).indices.tolist()]

    return answer


def eager(model: SASRec, items: list[str], all_steps: bool) -> Callable[[list[str]], list[str]]:
    number = numbers(items)

    @torch.inference_mode()
    def answer(history: list[str]) -> list[str]:
        ids = [number.get(item, 1) for item in history[-LENGTH:]]
        n = len(ids)
        if all_steps:
            ids += [0] * (LENGTH - n)
        batch = {"sequence_ids": torch.tensor(ids).view(1, -1, 1), "lengths": torch.tensor([n])}
        batch["rest_ids"] = torch.zeros(1, 1, 1, dtype=torch.long)  # no history here is longer than is read
        if all_steps:
            scores = (model.states(batch) @ model.item_vectors().T)[:, n - 1]
            scores = mask_seen(scores, batch["sequence_ids"][:, :, 0])
        else:
            scores = model(batch)
        return [items[place] for place in torch.topk(scores[0], K).indices.tolist()]

    return answer


def from_file(path: Path) -> Callable[[list[str]], list[str]]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = {value.name for value in session.get_inputs()}
    given = {"k": np.array(K), "candidates": np.array(["*"], object)}
    fixed = {name: value for name, value in given.items() if name in names}

    def answer(history: list[str]) -> list[str]:
        feed = {"history": np.array([history], object), "lengths": np.array([len(history)]), **fixed}
        found: list[str] = session.run(["items"], feed)[0][0].tolist()
        return found

    return answer


def floor(items: np.ndarray) -> Callable[[list[str]], Any]:
    """What no file that ranks all items (N, dim) can go below."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["state", "items"], ["scores"]),
            helper.make_node("TopK", ["scores", "k"], ["best", "place"]),
        ],
        "floor",
        [helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, items.shape[1]])],
        [helper.make_tensor_value_info("place", TensorProto.INT64, None)],
        [numpy_helper.from_array(np.ascontiguousarray(items.T), "items"), numpy_helper.from_array(np.array([K]), "k")],
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    state = np.ones((1, items.shape[1]), np.float32)
    return lambda history: session.run(None, {"state": state})


def of_rectools(environment: Path, folder: Path) -> float:
    """Milliseconds in which RecTools' SASRec gives one user's 20 best, trained on the same histories for an epoch."""
    lists = pq.read_table(folder / "made.parquet")["items"].to_pylist()
    days = np.datetime_as_string(np.datetime64("2000-01-01") + np.arange(max(map(len, lists))))
    rows = [f"{user},{item},{day}\n" for user, items in enumerate(lists) for item, day in zip(items, days, strict=False)]
    (folder / "made.csv").write_text("user_id,item_id,datetime\n" + "".join(rows))
    script = Path(__file__).parent / "peers" / "rectools_sasrec.py"
    command = [environment / "bin" / "python", script, folder / "made.csv", "--loss", "sampled_softmax", "--single", "200"]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=True, env={"OMP_NUM_THREADS": "1"}
    )
    return float(json.loads(done.stdout.strip().splitlines()[-1])["one_user_milliseconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each length of history")
    parser.add_argument("--rectools", type=Path, metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        model, path, items = exported(Path(scratch))
        file = from_file(path)
        answers = {
            "file": file,
            "torch modules, padded": by_torch_modules(model, items),
            "this network, last state": eager(model, items, False),
            "this network, all steps scored": eager(model, items, True),
        }
        for length in (5, 9, 50):
            histories = [rng.choice(items, length, replace=False).tolist() for _ in range(64)]
            contestants = {**answers, "floor": floor(model.item_vectors().detach().numpy())}
            same = all(len({frozenset(answer(history)) for answer in answers.values()}) == 1 for history in histories[:16])
            times: dict[str, list[float]] = {name: [] for name in contestants}
            end, turn = time.perf_counter() + asked.seconds, 0
            while time.perf_counter() < end:
                for name, answer in contestants.items():
                    for call in range(TURN):
                        history = histories[(turn * TURN + call) % len(histories)]
                        start = time.perf_counter()
                        answer(history)
                        times[name].append(time.perf_counter() - start)
                turn += 1
            medians = {name: float(np.median(values) * 1e6) for name, values in times.items()}
            ratios = {name: value / medians["file"] for name, value in medians.items() if name != "file"}
            results[f"history of {length}"] = {
                "microseconds": medians,
                "times the file": ratios,
                "same answers": same,
                "calls": turn * TURN,
            }
            shown = ", ".join(f"{name} {value:.0f} µs" for name, value in medians.items())
            print(f"history of {length}: {shown}; same answers: {same}")
        if asked.rectools:
            milliseconds = of_rectools(asked.rectools, Path(scratch))
            ratio = milliseconds * 1e3 / results["history of 9"]["microseconds"]["file"]
            results["rectools"] = {"one_user_milliseconds": milliseconds, "times the file": ratio}
            print(f"RecTools, one user: {milliseconds:.2f} ms, {ratio:.0f} times the file")
    if asked.json:
        about = {"machine": platform.machine(), "torch": version("torch"), "onnxruntime": version("onnxruntime")}
        asked.json.write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
