"""Everything that is printed for people goes through here, so that text from elsewhere is nothing but text."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from components.plain_text import printable


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
