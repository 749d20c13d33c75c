"""What all batches came to: one file of JSON, and a table to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

HARMS = ("lost", "published_twice", "without_verdict", "recomputed_finished_shards")


def summarise(batches: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Totals, and the same by kind; `findings` says what was wrong, word by word."""
    kinds = dict.fromkeys(batch["kind"] for batch in batches)
    return _sum(batches) | {"by_kind": {kind: _sum([b for b in batches if b["kind"] == kind]) for kind in kinds}}


def _sum(batches: Sequence[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {name: sum(batch[name] for batch in batches) for name in ("injected", *HARMS, "versions", "runs")}
    total["seconds"] = round(sum(batch["seconds"] for batch in batches), 1)
    findings = [line for batch in batches for line in batch["findings"]]
    return total | ({"findings": findings} if findings else {})


def table(report: dict[str, Any]) -> Table:
    """One line per kind."""
    made = Table(title="faults", title_justify="left")
    for heading in ("fault", "injected", "lost", "published twice", "no verdict", "recomputed", "versions", "runs", "s"):
        made.add_column(heading, justify="left" if heading == "fault" else "right")
    for name, line in [*report["by_kind"].items(), ("all", report)]:
        figures = [line[key] for key in ("injected", *HARMS, "versions", "runs")]
        made.add_row(name, *map(str, figures), f"{line['seconds']:.0f}")
    return made
