"""Test rows with what moved their answers, as `cases.json` has them: ready to be laid out."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shopkit.report.formats import amount, is_number

Plain = Mapping[str, Any]
Row = dict[str, Any]

FAINT = 0.04
"""Of the strongest share of a row: what is weaker is not coloured."""
METHODS = {
    "integrated gradients": "By integrated gradients (Sundararajan, Taly, Yan 2017): the way from a row in which nothing is "
    "known to this one, in shares.",
    "exact": "The score is a sum, and these are its terms: weight times value.",
}


def cards(cases: Plain) -> list[Row]:
    """A card for each case: what was said, and its texts, columns, steps and image with shares as strengths from −1 to 1."""
    return [_card(case) for case in cases.get("cases") or []]


def method(cases: Plain) -> str:
    return METHODS.get(str(cases.get("method")), str(cases.get("method", "")))


def _card(case: Plain) -> Row:
    texts, columns, steps = case.get("texts") or [], case.get("columns") or [], case.get("steps") or {}
    strongest = max((abs(share) for share in _shares(texts, columns, steps)), default=0.0) or 1.0
    most = max((weight for text in texts for _, weight in text.get("attention") or ()), default=0.0) or 1.0
    return {
        **case,
        "row": ", ".join(f"{name} {value}" for name, value in case["row"].items()),
        **{name: amount(case[name]) for name in ("target", "prediction") if "prediction" in case},
        "way": case["score"] - case["reference"],
        "texts": [_text(text, strongest, most) for text in texts],
        "columns": [{**column, "value": _written(column["value"]), **_bar(column["share"], strongest)} for column in columns],
        "steps": _steps(steps.get("rows") or [], strongest),
        "step_columns": steps.get("columns") or [],
        "image": _image(case["image"]) if case.get("image") else None,
    }


def _shares(texts: Iterable[Plain], columns: Iterable[Plain], steps: Plain) -> Iterable[float]:
    for text in texts:
        yield from (share for _, share in text["pieces"])
    yield from (column["share"] for column in columns)
    yield from (step["share"] for step in steps.get("rows") or [])


def _text(text: Plain, strongest: float, most: float) -> Row:
    return {**text, "pieces": _joined(text["pieces"], strongest), "attention": _joined(text.get("attention") or [], most)}


def _steps(steps: Sequence[Plain], strongest: float) -> list[Row]:
    """Each with its bar, and how much it was looked at in per cent of the most; None where the model does not weigh steps."""
    most = max((step.get("attention", 0.0) for step in steps), default=0.0) or 1.0
    return [
        {
            "place": place,
            "values": [_written(value) for value in step["values"]],
            "looked": round(100 * step["attention"] / most, 2) if "attention" in step else None,
            **_bar(step["share"], strongest),
        }
        for place, step in enumerate(steps, 1)
    ]


def _joined(pieces: Sequence[Sequence[Any]], strongest: float) -> list[tuple[str, float]]:
    """Pieces with their strength; those next to each other that have none become one."""
    joined: list[tuple[str, float]] = []
    for piece, share in pieces:
        strength = share / strongest
        strength = 0.0 if abs(strength) < FAINT or not piece.strip() else round(strength, 2)
        if joined and not strength and not joined[-1][1]:
            joined[-1] = (joined[-1][0] + piece, 0.0)
        else:
            joined.append((piece, strength))
    return joined


def _bar(share: float, strongest: float) -> Row:
    """A bar to either side of the middle, in per cent of the track."""
    width = 50 * min(abs(share) / strongest, 1.0)
    return {"share": share, "start": round(50 - width if share < 0 else 50, 2), "width": round(width, 2)}


def _written(value: Any) -> str:
    return amount(value) if is_number(value) else "(missing)" if value in ("", None) else str(value)


def _image(image: Plain) -> Row:
    """The picture, and over it what speaks for the answer and what against it, as PNG data."""
    pixels, shares = image["pixels"], image["shares"]
    grey = len(pixels) == 1
    rows = [bytes(channel[y][x] for x in range(len(line)) for channel in pixels) for y, line in enumerate(pixels[0])]
    strongest = max((abs(share) for line in shares for share in line), default=0.0) or 1.0
    overlay = [b"".join(_tint(share / strongest) for share in line) for line in shares]
    return {"pixels": _png(rows, 0 if grey else 2), "shares": _png(overlay, 6)}


def _tint(strength: float) -> bytes:
    """Blue for, orange against, the stronger the less transparent."""
    return bytes([*((10, 91, 211) if strength > 0 else (201, 96, 15)), round(255 * min(abs(strength), 1.0) ** 0.7)])


def _png(rows: Sequence[bytes], color_type: int) -> str:
    """An image as a data address.

    Args:
        rows: each line's bytes, 8 bits a channel.
        color_type: 0 grey, 2 RGB, 6 RGBA.
    """
    channels = {0: 1, 2: 3, 6: 4}[color_type]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(rows[0]) // channels, len(rows), 8, color_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
