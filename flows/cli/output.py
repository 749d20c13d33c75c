"""Terminal output: prints text from elsewhere as plain text, whatever it contains."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from components.common.plain_text import printable
from schemas.base import Verdict


class Terminal(Console):
    """A rich console that drops control, escape and direction characters from all text, also in tables and panels."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Make the text that rich shows for a string."""
        return super().render_str(printable(text), **options)


def say(text: str, *, err: bool = False) -> None:
    """Print plain text, without what would act on a terminal."""
    typer.echo(printable(text), err=err)


def safe(text: str) -> str:
    """`text` without escape sequences or direction characters, its brackets no rich markup."""
    return escape(printable(text))


EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}
_MARKS = {
    "pass": "[green]✓ pass[/]",
    "fail": "[red]✗ fail[/]",
    "inconclusive": "[yellow]? inconclusive[/]",
    "not_applicable": "[dim]– not applicable[/]",
}


def mark(verdict: str) -> str:
    """A verdict as a sign and a word, in colour."""
    return _MARKS[verdict]


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
