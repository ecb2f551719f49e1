"""`shopkit predict RUN_OR_ONNX DATA -o FILE`"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkit.cli.console import Parser, artifact, print_table, require_writable
from shopkit.errors import ArtifactError, ConfigError
from shopkit.progress import is_terminal
from shopkit.runs import ELSEWHERE, write_json

if TYPE_CHECKING:
    import numpy as np

    from shopkit.drift import DriftMonitor
    from shopkit.runtime import Predictor


def main(arguments: Sequence[str]) -> int:
    parser = Parser("predict", "Score a CSV, TSV or Parquet file of any size, or a folder of photographs, with an exported file.")
    parser.add_argument("artifact", metavar="RUN_OR_ONNX", type=artifact, help="a run's folder, or its model.onnx")
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a table with the raw columns, in any order; or a folder whose rows the run's source reads, e.g. image_folder",
    )
    parser.add_argument(
        "-o",
        dest="output",
        metavar="FILE",
        required=True,
        help="where the key columns and the outputs go: .csv, .tsv or .parquet; with Spark, a new folder of Parquet files",
    )
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="batches scored at the same time (one for each core)")
    parser.add_argument("--drift", metavar="FILE", type=Path, help="also write how the data differ from the training part, .json")
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what the file is asked for beside the columns, e.g. k=20; a list is a JSON array, or @FILE with an entry on each "
        "line. May be given several times; the report names the options of a file",
    )
    parser.add_argument(
        "--engine", choices=("here", "spark"), default="here", help="here, or on the workers of a Spark cluster; see --master"
    )
    parser.add_argument(
        "--master",
        metavar="URL",
        default="local[*]",
        help="of the Spark cluster: spark://host:7077, yarn, k8s://… (local[*]: the cores of this machine). DATA is then Parquet "
        "or CSV (a file, a folder of them or a glob, at an address the cluster reads), or table:NAME of its catalogue",
    )
    parsed = parser.parse(arguments)
    asked = _asked(parsed.artifact, parsed.option) if parsed.option else {}

    if parsed.engine == "spark":
        if parsed.drift is not None:
            raise ConfigError("--drift looks at the rows as they pass through this process, so it is not to be had on Spark.")
        from shopkit.predict.on_spark import predict_on_spark

        n_rows = predict_on_spark(parsed.artifact, parsed.data, parsed.output, master=parsed.master, asked=asked)
        print(f"{n_rows:,} rows → {parsed.output}")
        return 0

    from shopkit.predict.files import predict_file

    if parsed.drift is not None and parsed.drift.suffix != ".json":
        raise ConfigError(f"--drift {parsed.drift}: the report is a .json file.")
    if parsed.drift is not None:
        require_writable(parsed.drift, "--drift")
    look = _Look()
    data: Any = Path(parsed.data)
    if data.is_dir():
        from shopkit.cli import folder

        data = folder.rows(parsed.artifact, data)
    options: dict[str, Any] = {"threads": parsed.threads, "asked": asked, "on_columns": look}
    if is_terminal():
        from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("rows"), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, transient=True) as progress:
            bar = progress.add_task("", total=None)
            options["on_batch"] = lambda n: progress.advance(bar, n)
            n_rows = predict_file(parsed.artifact, data, Path(parsed.output), **options)
    else:
        n_rows = predict_file(parsed.artifact, data, Path(parsed.output), **options)
    print(f"{n_rows:,} rows → {parsed.output}")
    look.show(parsed.drift)
    return 0


def _asked(artifact: Path, texts: Sequence[str]) -> dict[str, Any]:
    from shopkit.predict.written import options_of
    from shopkit.runtime import Predictor

    return options_of(texts, Predictor(artifact).description.options)


class _Look:
    """Looks at the columns as they pass, and says where they differ from the training part."""

    def __init__(self) -> None:
        self.monitor: DriftMonitor | None = None
        self.is_known = True

    def __call__(self, predictor: Predictor, columns: Mapping[str, np.ndarray]) -> None:
        if self.monitor is None and self.is_known:
            from shopkit.drift import DriftMonitor

            self.monitor = DriftMonitor.of(predictor.description, predictor.path)
            self.is_known = self.monitor is not None
        if self.monitor is not None:
            self.monitor.update(columns)

    def show(self, path: Path | None) -> None:
        """Print the columns that drifted, and write the whole report to a file if one is asked for."""
        if self.monitor is None:
            if path is not None:
                raise ArtifactError(
                    "The file carries no statistics of its training part, so there is nothing to compare with. Export it again."
                )
            return
        report = self.monitor.report()
        drifted = [column for column in report["columns"] if column["level"] != "none"]
        if drifted:
            print(f"\n{len(drifted)} of {len(report['columns'])} columns differ from the training part:")
            print_table(
                ("Column", "Drift", "PSI", "Missing", "in training", "Unknown", "in training"),
                [
                    (
                        column["column"],
                        column["level"],
                        f"{column['psi']:.2f}",
                        *(
                            "" if column[name] is None else f"{column[name]:.1%}"
                            for name in ("missing", "missing_train", "unseen", "unseen_train")
                        ),
                    )
                    for column in drifted
                ],
            )
        if path is not None:
            write_json(path, report, ELSEWHERE)
            print(path)
