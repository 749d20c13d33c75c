"""Whether a safetensors file is whole, by its header alone: nothing is loaded."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from components.errors import InputError

_LENGTH = struct.Struct("<Q")
#: The format's own limit.
_LONGEST_HEADER = 100_000_000
_POINTER = b"version https://git-lfs"


def check_whole(path: Path) -> None:
    """Raise InputError for a pointer of Git LFS, a torn file, or no safetensors file at all."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(len(_POINTER))
        if start == _POINTER:
            raise InputError(
                "The weights are not here, only a pointer of Git LFS to them.", got=path, next_step="git lfs pull, then run again"
            )
        expected = _expected_size(start[: _LENGTH.size], path)
    if size != expected:
        raise InputError(
            "The weights file is not whole: it was cut off or written over.",
            got=f"{path}: {size:,} bytes",
            allowed=f"{expected:,} bytes, as its header says",
            next_step="copy or download it again",
        )


def _expected_size(start: bytes, path: Path) -> int:
    try:
        (length,) = _LENGTH.unpack(start)
        if length > _LONGEST_HEADER:
            raise ValueError("no header")
        with path.open("rb") as file:
            file.seek(_LENGTH.size)
            header = json.loads(file.read(length))
        ends = [int(tensor["data_offsets"][1]) for name, tensor in header.items() if name != "__metadata__"]
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise InputError(
            "The weights are no safetensors file.", got=path, next_step="save the model again, or fetch it anew"
        ) from error
    return _LENGTH.size + int(length) + max(ends, default=0)
