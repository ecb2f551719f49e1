"""A table of millions of rows scored from file to file: `shopkit predict` beside scikit-learn and LightGBM pipelines.

    python benchmarks/predict_rows.py [--rows 10000000] [--rounds 3] [--folder FOLDER] [--json FILE]

Made data in the shape of Online Shoppers: 11 numbers and 6 strings, a twentieth of the values missing, a few strings unseen in
training, as one Parquet and one CSV file. Everyone reads the same file, scores every row, and writes key and answer to a file of
the same format. shopkit streams by itself, and looks for drift as it does; the pipelines are fed by pandas in chunks, as a person
would write it, and `whole` reads the file at once. LightGBM takes its strings as pandas categories. Each figure is a process of
its own, and contestants take turns; seconds are from the first read to the last write, imports apart. Peak memory is that of the
process, on a tenth of the rows and on all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

STRINGS = {"Month": 10, "OperatingSystems": 8, "Browser": 13, "Region": 9, "TrafficType": 20, "VisitorType": 3}
NUMBERS = [
    "Administrative", "Administrative_Duration", "Informational", "Informational_Duration", "ProductRelated",
    "ProductRelated_Duration", "BounceRates", "ExitRates", "PageValues", "SpecialDay", "Weekend",
]  # fmt: skip
N_TRAIN = 20_000
CHUNK = 500_000
CONTESTANTS = (
    "shopkit linear",
    "scikit-learn",
    "shopkit gbdt",
    "LightGBM",
    "shopkit mlp",
    "scikit-learn, whole",
    "LightGBM, whole",
)


# -- data -----------------------------------------------------------------------------------------------------------


def rows(n: int, first: int) -> Any:
    import pandas as pd

    rng = np.random.default_rng(first)
    columns: dict[str, Any] = {"visit": np.arange(first, first + n)}
    for name in NUMBERS:
        columns[name] = np.where(rng.random(n) < 0.05, np.nan, rng.gamma(0.5, 10.0, n).round(3))
    for name, size in STRINGS.items():
        values = np.array([f"{name} {code}" for code in range(size)] + (["never seen"] if first else []) + [None], object)
        share = np.array([1.0] * size + ([0.01 * size] if first else []) + [0.05 * size])
        columns[name] = rng.choice(values, n, p=share / share.sum())
    return pd.DataFrame(columns)


def with_target(frame: Any) -> Any:
    rng = np.random.default_rng(1)
    score = 0.15 * (frame["PageValues"].fillna(0) - 5) - 0.1 * (frame["ExitRates"].fillna(0) - 5)
    score += np.where(frame["VisitorType"] == "VisitorType 1", 1.0, 0.0) + 0.3 * rng.normal(size=len(frame))
    return frame.assign(Revenue=np.where(score > 0.5, "yes", "no"))


def write_tables(folder: Path, n: int) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    writers: tuple[Any, Any] | None = None
    for start in range(0, n, CHUNK):
        table = pa.Table.from_pandas(rows(min(CHUNK, n - start), N_TRAIN + start), preserve_index=False)
        if writers is None:
            writers = (
                pq.ParquetWriter(folder / f"{n}.parquet", table.schema),
                pyarrow.csv.CSVWriter(folder / f"{n}.csv", table.schema),
            )
        for writer in writers:
            writer.write_table(table)
    for writer in writers or ():
        writer.close()


# -- models ---------------------------------------------------------------------------------------------------------


def fit_all(folder: Path) -> None:
    import joblib
    import lightgbm
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    import shopkit

    train = with_target(rows(N_TRAIN, 0))
    inputs, target = train[[*NUMBERS, *STRINGS]], train["Revenue"]
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    prepared = ColumnTransformer([("numbers", numbers, NUMBERS), ("strings", OneHotEncoder(handle_unknown="ignore"), [*STRINGS])])
    joblib.dump(make_pipeline(prepared, LogisticRegression(max_iter=500)).fit(inputs, target), folder / "scikit-learn.joblib")
    categories = {name: sorted(train[name].dropna().unique()) for name in STRINGS}
    typed = inputs.assign(**{name: pd.Categorical(inputs[name], categories[name]) for name in STRINGS})
    booster = lightgbm.LGBMClassifier(n_estimators=100, num_leaves=31, n_jobs=1, verbose=-1).fit(typed, target == "yes")
    joblib.dump((booster, categories), folder / "LightGBM.joblib")
    for model in ("linear", "gbdt", "mlp"):
        more = ["model.n_trees=100", "model.learning_rate=0.1", "model.early_stopping_rounds=0"] if model == "gbdt" else []
        shopkit.run(
            data=train,
            overrides=[
                "view=table", "view.target=Revenue", "view.keys=[visit]", "split=stratified", f"model={model}", *more,
                "trainer.max_epochs=5", "evaluation.baselines=[]", "evaluation.n_bootstrap=5", "trainer.threads=1",
            ],
            folder=folder / model,
        )  # fmt: skip


# -- the contest: each in a process of its own ----------------------------------------------------------------------


def scored_by_pandas(predict: Callable[[Any], np.ndarray], data: Path, out: Path, whole: bool) -> int:
    import pandas as pd
    import pyarrow.parquet as pq

    def chunks() -> Iterator[Any]:
        if data.suffix == ".csv":
            yield from [pd.read_csv(data)] if whole else pd.read_csv(data, chunksize=CHUNK)
        elif whole:
            yield pd.read_parquet(data)
        else:
            for batch in pq.ParquetFile(data).iter_batches(CHUNK):
                yield batch.to_pandas()

    import pyarrow as pa

    done, writer = 0, None
    for frame in chunks():
        answer = pd.DataFrame({"visit": frame["visit"], "probability": predict(frame[[*NUMBERS, *STRINGS]])})
        if out.suffix == ".csv":
            answer.to_csv(out, mode="a", header=not done, index=False)
        else:
            table = pa.Table.from_pandas(answer, preserve_index=False)
            writer = writer or pq.ParquetWriter(out, table.schema)
            writer.write_table(table)
        done += len(frame)
    if writer is not None:
        writer.close()
    return done


def contest(name: str, folder: Path, data: Path, out: Path) -> dict[str, float]:
    """Rows, seconds and peak memory of one contestant, in this process."""
    kind, _, model = name.partition(" ") if name.startswith("shopkit") else (name.partition(",")[0], "", "")
    if kind == "shopkit":
        import shopkit.drift  # as the pipelines are, it is imported before the clock starts
        import shopkit.predict.files  # noqa: F401
        from shopkit.cli import predict

        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            predict.main([str(folder / model), str(data), "-o", str(out)])
        n_rows = int(shown.getvalue().split()[0].replace(",", ""))
    else:
        import joblib
        import pandas as pd

        loaded = joblib.load(folder / f"{kind}.joblib")
        if kind == "LightGBM":
            booster, categories = loaded

            def predict(frame: Any) -> np.ndarray:
                typed = frame.assign(**{column: pd.Categorical(frame[column], known) for column, known in categories.items()})
                return np.asarray(booster.predict_proba(typed, num_threads=len(os.sched_getaffinity(0)))[:, 1])
        else:

            def predict(frame: Any) -> np.ndarray:
                return np.asarray(loaded.predict_proba(frame)[:, 1])

        start = time.perf_counter()
        n_rows = scored_by_pandas(predict, data, out, "whole" in name)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()  # as getrusage also counts what the parent had when it started this process
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return {"rows": n_rows, "seconds": seconds, "peak_mb": int(peak.split()[1]) / 1024}


def measured(name: str, folder: Path, data: Path) -> dict[str, float] | None:
    """The same in a process of its own; None where it did not end well, as for want of memory."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [sys.executable, __file__, "--contest", name, str(folder), str(data), str(Path(scratch) / f"out{data.suffix}")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}, {data.name}: {(done.stderr.strip() or f'ended by {done.returncode}').splitlines()[-1]}", file=sys.stderr)
        return None
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--formats", nargs="+", choices=("parquet", "csv"), default=("parquet", "csv"))
    parser.add_argument("--folder", type=Path, help="keeps the tables and the models, and takes them from there the next time")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--contest", nargs=4, metavar=("NAME", "MODELS", "DATA", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contest:
        name, *paths = arguments.contest
        print(json.dumps(contest(name, *map(Path, paths))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        sizes = (max(1, arguments.rows // 10), arguments.rows)
        if not (folder / "mlp").is_dir():
            fit_all(folder)
        for n in sizes:
            if not (folder / f"{n}.csv").is_file():
                write_tables(folder, n)
        figures: dict[str, Any] = {}
        for form in arguments.formats:
            found: dict[str, list[dict[str, float] | None]] = {name: [] for name in arguments.only}
            for _ in range(arguments.rounds):
                for name in arguments.only:
                    if found[name][-1:] != [None]:
                        found[name].append(measured(name, folder, folder / f"{sizes[1]}.{form}"))
            for name, rounds in found.items():
                figures[f"{name}, {form}"] = figure(rounds, measured(name, folder, folder / f"{sizes[0]}.{form}"))
                print(f"{name + ', ' + form:32} {figures[f'{name}, {form}']}", flush=True)
    if arguments.json:
        from timing import of_this_machine  # not with the clock on

        machine = of_this_machine("onnxruntime", "pyarrow", "scikit-learn", "lightgbm", "pandas")
        about = {"rows": sizes[1], "rows of the small table": sizes[0], "chunk": CHUNK, "figures": figures, "machine": machine}
        arguments.json.write_text(json.dumps(about, indent=2) + "\n")


def figure(rounds: list[dict[str, float] | None], small: dict[str, float] | None) -> dict[str, Any]:
    done = [one for one in rounds if one is not None]
    if not done or small is None:
        return {"ended": "did not get through the table"}
    seconds = statistics.median(one["seconds"] for one in done)
    return {
        "rows_per_second": round(done[0]["rows"] / seconds),
        "seconds": round(seconds, 2),
        "peak_mb": round(max(one["peak_mb"] for one in done)),
        "peak_mb_of_a_tenth": round(small["peak_mb"]),
        "rounds": len(done),
    }


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
