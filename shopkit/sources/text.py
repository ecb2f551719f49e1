"""Text files (CSV, TSV, JSON lines) made into Parquet, whole or not at all: what cannot be read is named by its line."""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
from ibis.backends.duckdb import Backend

from shopkit.errors import DataError
from shopkit.sources.engine import fetch, literal, quote

CHUNK = 1 << 22
DELIMITERS = (",", ";", "\t", "|")


def plain_utf8(path: Path, encoding: str, scratch: Path) -> tuple[Path, str]:
    """A plain UTF-8 copy of a text file (the file itself if it is one already), and the SHA-256 of its content.

    Raises:
        DataError: a file that is empty, not in the encoding (names the line), or a broken gzip.
    """
    is_plain = codecs.lookup(encoding).name == "utf-8" and path.suffix != ".gz"
    copy = scratch / f"{len(list(scratch.iterdir()))}-{path.name.removesuffix('.gz')}"
    digest = hashlib.sha256()
    is_blank = True
    for text in _decoded(path, encoding):
        content = text.encode()
        digest.update(content)
        is_blank = is_blank and not text.strip("\ufeff\r\n\t ")
        if not is_plain:
            with copy.open("ab") as out:
                out.write(content)
    if is_blank:
        raise DataError(f"{path} is empty.")
    return (path if is_plain else copy), digest.hexdigest()


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            while True:
                chunk = stream.read(CHUNK)
                pending = decoder.getstate()[0]
                try:
                    text = decoder.decode(chunk, final=not chunk)
                except UnicodeDecodeError as error:
                    line += (pending + chunk)[: error.start].count(b"\n")
                    raise DataError(
                        f"{path}, line {line}: byte 0x{error.object[error.start]:02x} is not {encoding}. The file is in another "
                        "encoding, or in several. Set source.encoding (latin-1, cp1252, utf-16), or save it anew as UTF-8."
                    ) from None
                if "\0" in text:
                    line += text[: text.index("\0")].count("\n")
                    raise DataError(
                        f"{path}, line {line}: a NUL byte, so this is not {encoding} text. Try source.encoding=utf-16."
                    )
                line += text.count("\n")
                yield text
                if not chunk:
                    return
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file ({error}). Fetch or compress it again.") from None


def csv_header(path: Path, shown: Path, delimiter: str) -> tuple[tuple[str, ...], str]:
    """Column names and delimiter of a UTF-8 CSV.

    Args:
        shown: the path to name in messages.
        delimiter: "" to infer it.

    Raises:
        DataError: a column without a name or two of one name.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        if not delimiter:
            first = re.sub(r'"[^"]*"', "", next(line for line in stream if line.strip()))
            delimiter = "\t" if ".tsv" in shown.suffixes else max(DELIMITERS, key=first.count)
            stream.seek(0)
        names = tuple(next(row for row in csv.reader(stream, delimiter=delimiter) if row))
    for position, name in enumerate(names, 1):
        if not name.strip():
            raise DataError(
                f"{shown}: column {position} of {len(names)} has no name in the header line. Give it one, or write the "
                "file without the column (in pandas, to_csv(…, index=False))."
            )
    repeated = [name for name, count in Counter(name.lower() for name in names).items() if count > 1]
    if repeated:
        raise DataError(f"{shown}: the header names column '{repeated[0]}' more than once (upper and lower case count as one).")
    return names, delimiter


def csv_to_parquet(
    connection: Backend, path: Path, shown: Path, names: Sequence[str], delimiter: str, nulls: Sequence[str], out: Path
) -> int:
    """Write a UTF-8 CSV as Parquet, every column text, and return its number of rows.

    Raises:
        DataError: a row with too few or too many fields, or an unclosed quote; names the line.
    """
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    reader = (
        f"read_csv({literal(str(path))}, auto_detect=false, header=true, delim={literal(delimiter)}, quote='\"', escape='\"', "
        f"strict_mode=true, columns={{{columns}}}, nullstr=[{', '.join(map(literal, nulls))}])"
    )
    return _copy(connection, reader, shown, out)


def json_to_parquet(connection: Backend, paths: Sequence[Path], shown: Path, out: Path) -> int:
    """Write files of JSON lines as one Parquet, with the types that all rows have, and return the number of rows.

    Raises:
        DataError: a line that is not JSON, or a field whose values are of several types.
    """
    files = ", ".join(literal(str(path)) for path in paths)
    reader = f"read_json([{files}], format='newline_delimited', sample_size=-1, union_by_name=true)"
    n_rows = _copy(connection, reader, shown, out)
    for name, dtype, *_ in fetch(connection.con, f"DESCRIBE SELECT * FROM {reader}"):
        if dtype == "JSON":
            field = quote(name)
            kinds = fetch(
                connection.con,
                f"SELECT json_type({field}) AS kind, min(row) AS row, arg_min({field}::VARCHAR, row) FROM "
                f"(SELECT *, row_number() OVER () - 1 AS row FROM {reader}) WHERE {field} IS NOT NULL GROUP BY kind ORDER BY row",
            )
            examples = ", ".join(f"{value} in row {row}" for _, row, value in kinds[:3])
            raise DataError(f"{shown}: field '{name}' holds values of several types: {examples}. Make them one type.")
    return n_rows


def _copy(connection: Backend, reader: str, shown: Path, out: Path) -> int:
    try:
        return int(fetch(connection.con, f"COPY (SELECT * FROM {reader}) TO {literal(str(out))} (FORMAT parquet)")[0][0])
    except duckdb.Error as error:
        raise DataError(f"{shown}{_reason(str(error))}") from None


def _reason(message: str) -> str:
    """DuckDB's account of a text file it cannot read, in one sentence."""
    line = re.search(r"on Line: (\d+)", message)
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    original = re.search(r"Original Line: (.*)", message)
    place = f", line {line[1]}" if line else ""
    if fields:
        row = f": {original[1]!r}" if original else ""
        advice = "Quote fields that hold the delimiter."
        return f"{place}: expected {fields[1]} fields as in the header, found {fields[2]}{row}. {advice}"
    if "unterminated quote" in message:
        return f"{place}: a quote that is opened here is never closed."
    json = re.search(r"Malformed JSON .*?in line (\d+): ([^\n]*)", message)
    if json:
        return f", line {json[1]}: not valid JSON ({json[2].strip().rstrip('.')})."
    return f"{place}: {message.splitlines()[0]}"
