"""The rows of a CSV or TSV file, a block at a time, as the tables that a file was trained on were read."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from shopkit.errors import DataError
from shopkit.predict.written import Written, parsed, wanted_columns
from shopkit.runtime import Predictor

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 4 << 20
DELIMITERS = (",", ";", "\t", "|")
QUOTE = b'"'


def csv_batches(path: Path, reading: str, predictor: Predictor) -> Iterator[pa.RecordBatch]:
    """Batches of the columns that the file knows; one without rows where the table has none.

    Args:
        reading: `csv` or `tsv`.

    Raises:
        DataError: what is no such text (names the line), a column that is missing or there twice, or a value that is not of its
            kind.
    """
    import pyarrow as pa
    import pyarrow.csv

    written = Written.of(predictor)
    encoding = _encoding(path, written.encoding)
    header, delimiter = _header(path, encoding, written.delimiter if reading == "csv" else "\t")
    wanted = wanted_columns(path, predictor, header)
    # An empty line is the missing value of a lone column.
    parse = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=len(header) > 1)
    read = pyarrow.csv.ReadOptions(block_size=BLOCK_BYTES, encoding=encoding)
    convert = pyarrow.csv.ConvertOptions(
        include_columns=wanted,
        # All text: a type guessed from the first block would break on a later one.
        column_types=dict.fromkeys(wanted, pa.string()),
        strings_can_be_null=True,
        null_values=list(written.null_values),
    )
    n_rows = 0
    try:
        with _opened(path) as stream:
            counting = _Quotes(stream)
            with pyarrow.csv.open_csv(pa.PythonFile(counting, "r"), read, parse, convert) as reader:
                for batch in reader:
                    yield parsed(batch, predictor, n_rows)
                    n_rows += batch.num_rows
            if counting.n % 2:
                _refuse_open_quote(path, encoding, delimiter)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(_in_our_words(path, str(error), encoding)) from error
    if n_rows == 0:
        none = [pa.array([], pa.string()) for _ in wanted]
        yield parsed(pa.RecordBatch.from_arrays(none, wanted), predictor, 0)


def delimiter_of(line: str, usual: str) -> str:
    """What stands between the columns in a header line: the usual one wherever that is there."""
    plain = re.sub(r'"[^"]*"', "", line)
    return usual if usual and usual in plain else max(DELIMITERS, key=plain.count)


class _Quotes:
    """A stream that counts the quotes it gives: pairs, or one is never closed and has taken all rows after it for a value."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.n = 0
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        block = self.stream.read(size)
        self.n += block.count(QUOTE)
        return block

    def close(self) -> None:
        self.closed = True


def _opened(path: Path) -> IO[bytes]:
    how: Any = gzip.open if path.suffix == ".gz" else open
    stream: IO[bytes] = how(path, "rb")
    return stream


def _encoding(path: Path, given: str) -> str:
    """UTF-8 if all of it is that, as no other text of another encoding is; else the one that the training part was in."""
    if codecs.lookup(given).name == "utf-8":
        return given
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _opened(path) as stream:
        try:
            while block := stream.read(BLOCK_BYTES):
                decoder.decode(block)
        except UnicodeDecodeError:
            return given
    return "utf-8"


def _header(path: Path, encoding: str, delimiter: str) -> tuple[list[str], str]:
    """The columns, and what stands between them."""
    with _opened(path) as stream, io.TextIOWrapper(stream, "utf-8-sig" if encoding == "utf-8" else encoding, newline="") as text:
        try:
            first = next((line for line in text if line.strip()), None)
            if first is None:
                raise DataError(f"{path} is empty.")
            delimiter = delimiter_of(first, delimiter)
            text.seek(0)
            return next(row for row in csv.reader(text, delimiter=delimiter) if row), delimiter
        except UnicodeDecodeError as error:
            raise DataError(_not_of(path, encoding)) from error


def _refuse_open_quote(path: Path, encoding: str, delimiter: str) -> None:
    """Raise if a quote is never closed; one in the middle of a value is an ordinary character."""
    with _opened(path) as stream, io.TextIOWrapper(stream, encoding, newline="") as text:
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        before = 0
        try:
            for _ in rows:
                before = rows.line_num
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise DataError(f"{path}, line {before + 1}: a quote that is opened here is never closed.") from error


def _not_of(path: Path, encoding: str) -> str:
    return f"{path} is not {encoding} text. Save it as UTF-8, or in the encoding that the training data had."


def _in_our_words(path: Path, message: str, encoding: str) -> str:
    """What Arrow says of a file that it cannot read, in one sentence."""
    fields = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+): (.*)", message)
    if fields:
        return (
            f"{path}, row {int(fields[1]) - 2}: expected {fields[2]} fields as in the header, found {fields[3]}: {fields[4]!r}. "
            "Quote fields that hold the delimiter."
        )
    if "invalid UTF8" in message or "codec can't decode" in message:
        return _not_of(path, encoding)
    if "straddling object" in message:
        return f"{path}: a row is longer than {BLOCK_BYTES >> 20} MiB, or a quote is opened that is closed far below."
    return f"Cannot read {path}: {message}"
