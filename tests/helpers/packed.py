"""Reads packed blocks back as scripts/blocks.js does, with nothing of the code that packs them."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np


def unpack(data: str) -> dict[str, Any]:
    """Columns by name: arrays of numbers, and lists."""
    content = zlib.decompress(base64.b64decode(data))
    length = int.from_bytes(content[:4], "little")
    header = json.loads(content[4 : 4 + length])
    start = -(-(4 + length) // 8) * 8
    columns: dict[str, Any] = dict(header["lists"])
    for name, kind, at, size in header["numbers"]:
        columns[name] = np.frombuffer(content, np.dtype(kind).newbyteorder("<"), size, start + at)
    return columns


def row_of(columns: dict[str, Any], name: str, lengths: Any, row: int) -> Any:
    """The part of the ragged column `name` that belongs to `row`."""
    ends = np.cumsum(lengths)
    return columns[name][ends[row] - lengths[row] : ends[row]]
