"""The reference version's side of each row: its words on the same text, and how far the reasons moved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.report.payload.units import UNIT_COLUMNS, Units, read_batches, reason_change, units_in


@dataclass(frozen=True, slots=True)
class Reference:
    """One row under the reference version: its answer, the class it explains, and its units."""

    predicted: str
    target: str
    units: Units

    def drift(self, target: str, units: Units, n_classes: int) -> float:
        """How far the reasons moved to those of the candidate (`target`, `units`), 0 … 1; NaN when they do not compare.

        The two logits of a binary classifier move against each other: explaining its other class turns the sign.
        """
        if self.target != target and n_classes != 2:
            return float("nan")
        return reason_change(self.units, units, 1 if self.target == target else -1)


def read_references(paths: Iterable[Path]) -> dict[str, Reference]:
    """Every row that the reference version explained, by id."""
    found: dict[str, Reference] = {}
    for batch in read_batches(paths, (*UNIT_COLUMNS, "id", "predicted", "target")):
        columns = (batch[name].to_pylist() for name in ("id", "predicted", "target"))
        for key, predicted, target, units in zip(*columns, units_in(batch), strict=True):
            if predicted is not None:
                found[key] = Reference(predicted, target, units)
    return found
