"""`calig clean`: shrink the caches of an output folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.entry import exit_with
from flows.cli.options import DEFAULT_OUTPUT, DebugOption, Group

if TYPE_CHECKING:
    from components.common.caches import Cleaned

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0}
_DEFAULT_DAYS = 30.0
_LISTED = 20


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(rich_help_panel=Group.SETTINGS)(clean)


def clean(
    output: Annotated[Path, typer.Option(help="Where the runs' results and caches are.")] = DEFAULT_OUTPUT,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Remove what was last used longer ago: 12h, 30d, 8w. Default, without a size: 30d."),
    ] = None,
    larger_than: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Then remove the least recently used until the rest fits: 500MB, 20GB.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    debug: DebugOption = False,
) -> None:
    """Shrink the caches below an output folder: models, shards, exports, Prefect's results. All can be made again.

    Results of explanations and alerts that wait are left alone. While an explanation runs in the folder nothing is removed.

    [bold]Example:[/] calig clean --older-than 30d --larger-than 20GB --dry-run
    """

    def run() -> int:
        from components.common.caches import clean as clean_caches

        days = _DEFAULT_DAYS if older_than is None and larger_than is None else _days(older_than)
        _tell(clean_caches(output, older_than_days=days, larger_than_bytes=_bytes(larger_than), dry_run=dry_run), output, dry_run)
        return 0

    exit_with(run, debug=debug)


def _tell(cleaned: Cleaned, output: Path, dry_run: bool) -> None:
    from flows.cli.output import say

    for entry in cleaned.removed[:_LISTED]:
        say(f"{entry.n_bytes / 1e6:10,.1f} MB  {entry.path.relative_to(output)}")
    if len(cleaned.removed) > _LISTED:
        say(f"… and {len(cleaned.removed) - _LISTED} more")
    freed, left = (sum(entry.n_bytes for entry in entries) / 1e6 for entries in cleaned)
    say(f"{'would free' if dry_run else 'freed'} {freed:,.1f} MB in {len(cleaned.removed)} entries; {left:,.1f} MB stay")


def _days(text: str | None) -> float | None:
    return None if text is None else _number(text, _DAYS, "--older-than", "12h, 30d, 8w")


def _bytes(text: str | None) -> int | None:
    return None if text is None else int(_number(text.upper(), _UNITS, "--larger-than", "500MB, 20GB"))


def _number(text: str, units: dict[str, float] | dict[str, int], option: str, allowed: str) -> float:
    from components.common.errors import InputError

    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2] not in units:
        raise InputError(f"{option} is not understood.", got=text, allowed=allowed)
    return float(match[1]) * units[match[2]]
