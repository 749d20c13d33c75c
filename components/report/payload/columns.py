"""Binary columns of the page: numbers quantised to whole multiples of a step, compressed, as base64."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def quantised(values: NDArray[np.float64], dtype: type[np.integer[Any]]) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Codes of `dtype`, shaped as `values`, and steps in the values' unit, one per last axis: value ≈ code × step.

    The largest size takes the largest code, so the error is at most half a step: 1/65,534 of the largest size in 16 bits,
    1/254 in 8 bits, 1/510 in 8 bits without a sign. Where nothing is there, all is zero, or something is not finite, codes
    and step are 0.
    """
    limits = np.iinfo(dtype)
    steps = (np.abs(values).max(axis=-1, initial=0.0) / limits.max).astype(np.float32)
    usable = np.isfinite(steps) & (steps > 0)
    divisors = np.where(usable, steps, np.inf).astype(np.float64)[..., None]
    codes = np.rint(np.where(usable[..., None], values, 0.0) / divisors)
    return np.clip(codes, limits.min, limits.max).astype(dtype), np.where(usable, steps, np.float32(0))


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
