"""Standard output and error that take any character and any reader."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO


def tolerate_streams() -> None:
    """Let no character and no closed pipe turn the outcome of a command into an error of its output.

    Characters that the encoding of a stream lacks are written as escapes. When nobody reads any more (`calig gate … | head -1`)
    or the disk is full, the rest of the output is dropped: the verdict is in the exit code too.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for the life of the process
            continue
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, _Tolerant(stream))


class _Tolerant:
    """A text stream that drops what cannot be written any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._drop_the_rest()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._drop_the_rest()

    def _drop_the_rest(self) -> None:
        """The interpreter flushes the stream when it ends, and would exit with 120."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
