"""The logs of all servers as one readable timeline: when, which process, what; in the order of time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

#: Lines of use to a reader: the registry's writes, hand-overs, steps and states of runs, alerts; nothing that only reads.
SHOWN = re.compile(
    r"\"(POST|PUT|PATCH) /api/2\.0/\S*(webhooks|registered-models|model-versions|/calig/)"
    r"|: (started|resumed|under way|gave up|done)"
    r"|[Ww]orker '|submitted to infrastructure|Beginning flow run|Finished in state"
    r"|^explaining |^comparing |^· |verdict|alert|is registered"
)
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
#: A second stamp, by the server itself, says nothing more.
_OWN_STAMP = re.compile(r"^(\d{4}[-/]\d\d[-/]\d\d[ T])?\d\d:\d\d:\d\d([.,]\d+)?( UTC| ?\+\d{4})?( \[\d+\])?( \| )?\s*")
_WIDTH = 150


class Line(NamedTuple):
    """What one process said at one time."""

    time: datetime
    process: str
    text: str


def timeline_of(logs: Iterable[Path], shown: re.Pattern[str] = SHOWN) -> str:
    """All lines that match `shown`, as `seconds since the first · process · text`."""
    lines = sorted(line for log in logs for line in _lines(log) if shown.search(line.text))
    if not lines:
        return ""
    start, width = lines[0].time, max(len(line.process) for line in lines)
    head = f"{start:%Y-%m-%d %H:%M:%S} UTC"
    return "\n".join([head, *(f"{(at - start).total_seconds():8.2f} s  {name:<{width}}  {text}" for at, name, text in lines)])


def _lines(log: Path) -> Iterator[Line]:
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        time, _, text = line.partition(" ")
        text = _OWN_STAMP.sub("", _COLOURS.sub("", text)).strip()
        try:
            yield Line(datetime.fromisoformat(time), log.stem, text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…")
        except ValueError:
            continue
