"""A million rows × 20 columns: shopkit's feature graph beside the same transforms in scikit-learn's ColumnTransformer.

    python benchmarks/features.py [PATH] [--rows 1000000] [--json FILE]

6 columns standardised, 4 to quantile-normal scores (1,000 quantiles, scikit-learn's default), 4 into 16 quantile bins, 6 strings
one-hot (8 to 48 categories). PATH is a table whose columns are drawn from instead of made ones: the CSV of
https://archive.ics.uci.edu/dataset/468. Both fill a dense float32 array, one thread each, taking turns. shopkit starts from a
Parquet file, reading included (also timed alone); scikit-learn from a DataFrame already in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import warnings
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, QuantileTransformer, StandardScaler
from timing import of_this_machine

from shopkit.features.graph import FittedFeatures, fit
from shopkit.features.plan import resolve
from shopkit.features.settings import FeaturePlan
from shopkit.features.training_part import training_part
from shopkit.features.transform import BATCH_ROWS, transform
from shopkit.registry import load_registry
from shopkit.schema import Column, Schema

SCALED, RANKED, BINNED, NAMED = ([f"{kind}{at}" for at in range(n)] for kind, n in (("s", 6), ("q", 4), ("b", 4), ("c", 6)))
PLAN = FeaturePlan(
    numbers="standardize",
    strings="one_hot",
    columns={name: {"name": "quantile", "n_quantiles": 1000} for name in RANKED} | dict.fromkeys(BINNED, "bucketize"),
)


def table(path: Path | None, n_rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    if path is None:
        numbers = {name: rng.lognormal(size=n_rows).astype(np.float32) for name in (*SCALED, *RANKED, *BINNED)}
        strings = {name: [f"value {c}" for c in rng.integers(0, 8 * (at + 1), n_rows)] for at, name in enumerate(NAMED)}
        return pd.DataFrame({**numbers, **strings})
    drawn = pd.read_csv(path).sample(n_rows, replace=True, random_state=0).reset_index(drop=True)
    continuous = ["PageValues", "BounceRates", "ExitRates", "ProductRelated_Duration"]
    coded = ["Month", "OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType"]
    columns = dict(zip(NAMED, (drawn[name].astype(str) for name in coded), strict=True))
    for at, name in enumerate((*SCALED, *RANKED, *BINNED)):
        # A little noise, so that the same source column drawn twice is not the same column.
        source = drawn[continuous[at % len(continuous)]].to_numpy()
        columns[name] = pd.Series((source * rng.lognormal(0, 0.01, n_rows)).astype(np.float32))
    return pd.DataFrame(columns)[[*SCALED, *RANKED, *BINNED, *NAMED]]


def scikit(frame: pd.DataFrame) -> ColumnTransformer:
    bins = KBinsDiscretizer(16, encode="ordinal", strategy="quantile", quantile_method="linear", subsample=None, dtype=np.float32)
    return ColumnTransformer(
        [
            ("standardize", StandardScaler(), SCALED),
            ("quantile", QuantileTransformer(output_distribution="normal", random_state=0), RANKED),
            ("bins", bins, BINNED),
            ("one_hot", OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32), NAMED),
        ]
    ).fit(frame)


def shopkit_features(frame: pd.DataFrame, examples: Path) -> FittedFeatures:
    schema = Schema(tuple(Column(name, "string" if name in NAMED else "number") for name in frame))
    with training_part(examples, np.ones(len(frame), bool)) as context:
        return fit(resolve(PLAN, schema, context, (), load_registry()), context)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    warnings.simplefilter("ignore")
    frame = table(arguments.path, arguments.rows)
    everything = {"all": np.ones(len(frame), bool)}
    seconds: dict[str, list[float]] = {
        "scikit-learn fit": [],
        "shopkit fit": [],
        "scikit-learn": [],
        "shopkit": [],
        "of it reading": [],
    }

    with tempfile.TemporaryDirectory() as folder:
        examples = Path(folder) / "examples.parquet"
        frame.to_parquet(examples)

        def timed(name: str, start: float) -> None:
            seconds[name].append(time.process_time() - start)

        start = time.process_time()
        theirs = scikit(frame)
        timed("scikit-learn fit", start)
        start = time.process_time()
        ours = shopkit_features(frame, examples)
        timed("shopkit fit", start)
        for _ in range(arguments.repeats):
            start = time.process_time()
            expected = theirs.transform(frame)
            timed("scikit-learn", start)
            start = time.process_time()
            found = transform(ours.model, ours.spec, examples, everything)["all"]
            timed("shopkit", start)
            start = time.process_time()
            for _batch in pq.ParquetFile(examples, read_dictionary=NAMED).iter_batches(BATCH_ROWS):
                pass
            timed("of it reading", start)

    scaled = np.abs(found["dense"][:, : len(SCALED)] - expected[:, : len(SCALED)]).max()
    first, binned = len(SCALED) + len(RANKED), found["ids"] - 2
    differs = float((binned != expected[:, first : first + len(BINNED)]).mean())
    medians = {name: float(np.median(of_one)) for name, of_one in seconds.items()}
    print(f"{len(frame):,} rows × {len(frame.columns)} columns → {expected.shape[1]} positions; processor seconds, medians")
    for name, value in medians.items():
        print(f"  {name:20} {value:8.2f} s")
    ratio = medians["scikit-learn"] / medians["shopkit"]
    print(f"largest difference of a standardised value {scaled:.1e}; bins that differ {differs:.4%}")
    print(f"{'scikit-learn / shopkit, transform (at least 3)':60} {ratio:8.2f}")
    if arguments.json:
        machine = of_this_machine("onnxruntime", "scikit-learn", "pandas", "pyarrow", "numpy")
        arguments.json.write_text(json.dumps({"seconds": medians, "ratio": ratio, "machine": machine}, indent=2))


if __name__ == "__main__":
    main()
