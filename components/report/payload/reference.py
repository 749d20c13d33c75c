"""The reference version's rows: its words on the same texts, and how far the reasons moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.report.payload.units import UNIT_COLUMNS, Units, aligned_reason_change, units_in
from components.table.orientation import COLUMNS, sign_between
from components.table.reader import iter_batches


@dataclass(frozen=True, slots=True)
class Reference:
    """One row under the reference version: its answer, what was explained (the columns of `orientation`), and its units."""

    predicted: str
    explained: Mapping[str, Any]
    units: Units

    def toward(self, row: Mapping[str, Any]) -> Reference:
        """Turned, where that makes it speak for the target of the candidate's `row`."""
        if sign_between(self.explained, row) != -1:
            return self
        turned = Units(self.units.starts, self.units.ends, -self.units.values)
        return Reference(self.predicted, {name: row[name] for name in COLUMNS}, turned)

    def drift(self, row: Mapping[str, Any], units: Units) -> float:
        """How far the reasons moved to those of the candidate's `row`, 0 … 1; NaN when they are not reasons for one thing."""
        between = sign_between(self.explained, row)
        return float("nan") if between is None else aligned_reason_change(self.units, units, between)


def read_references(paths: Iterable[Path]) -> dict[str, Reference]:
    """Every row that the reference version explained, by id."""
    found: dict[str, Reference] = {}
    for batch in iter_batches(paths, (*UNIT_COLUMNS, "id", "predicted", *COLUMNS)):
        rows = batch.select(["id", "predicted", *COLUMNS]).to_pylist()
        for row, units in zip(rows, units_in(batch), strict=True):
            if row["predicted"] is not None:
                found[row["id"]] = Reference(row["predicted"], {name: row[name] for name in COLUMNS}, units)
    return found
