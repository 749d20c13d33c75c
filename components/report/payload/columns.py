"""Columns packed into one block of text that a page can carry and a browser unpacks by itself (scripts/blocks.js)."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any] | Sequence[Any]

#: Every column of numbers begins at a multiple of this many bytes, so that the browser can read it in place.
_ALIGNMENT = 8


def pack(columns: Mapping[str, Column]) -> str:
    """Base64 of zlib of: header length (4 bytes), JSON header, then the numbers of each column; all little-endian.

    Arrays keep their type: int8 … int32, uint8 … uint32 or float32. Any other column is a list in the header.
    """
    places: list[list[Any]] = []
    body = bytearray()
    for name, column in columns.items():
        if isinstance(column, np.ndarray):
            places.append([name, column.dtype.name, len(body), column.size])
            body += _padded(column.astype(column.dtype.newbyteorder("<")).tobytes())
    lists = {name: column for name, column in columns.items() if not isinstance(column, np.ndarray)}
    header = json.dumps({"numbers": places, "lists": lists}, ensure_ascii=False, separators=(",", ":")).encode()
    start = _padded(len(header).to_bytes(4, "little") + header, fill=b" ")
    return base64.b64encode(zlib.compress(start + bytes(body))).decode()


def _padded(content: bytes, fill: bytes = b"\0") -> bytes:
    return content + fill * (-len(content) % _ALIGNMENT)
