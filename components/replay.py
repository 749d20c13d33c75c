"""Compare published rows with the same rows computed again: bit for bit, else by how much; and what differs around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.common.errors import InputError
from components.table.reader import iter_batches, open_table
from components.table.value_digest import values_digest
from schemas.attribution import SCHEMA
from schemas.evidence import EnvironmentChange, ReplayOutcome, RowReplay
from schemas.governance import Environment, GovernanceReport
from schemas.release import ModelSnapshot


def identity_changes(record: GovernanceReport, now: ModelSnapshot, formula_version: str) -> tuple[str, ...]:
    """What makes the same numbers impossible, or a wonder."""
    compared = (
        ("the weights", record.model.weights_digest, now.weights_digest),
        ("the tokenizer or image processor", record.model.processor_digest, now.processor_digest),
        ("the formula's version", record.method.formula_version, formula_version),
    )
    return tuple(f"{name}: recorded {before[:12]}, now {after[:12]}" for name, before, after in compared if before != after)


def environment_changes(record: GovernanceReport, now: Environment, attention_kernel: str) -> tuple[EnvironmentChange, ...]:
    """Every difference by name; what the record does not know is not compared."""
    kernels = ("attention kernel", record.method.attention_kernel, attention_kernel)
    found = [kernels, *_pairs(record.environment, now)]
    return tuple(EnvironmentChange(name=name, recorded=a, now=b) for name, a, b in found if a != b)


def _pairs(before: Environment, now: Environment) -> Iterator[tuple[str, str, str]]:
    yield from ((name, getattr(before, name), getattr(now, name)) for name in ("python", "platform", "device"))
    for known, present in ((before.libraries, now.libraries), (before.device_versions, now.device_versions)):
        yield from ((name, version, present.get(name, "none")) for name, version in known.items())


#: What has to be equal before numbers can be compared at all.
_SAME = ("id", "problem", "predicted", "target", "tokens")


def rows_beyond(rows: Sequence[RowReplay], tolerance: float) -> list[RowReplay]:
    """Rows that are not within `tolerance`, worst first; what cannot be compared, or is not a number, is worst."""
    changes = [(float("inf") if row.change is None or isnan(row.change) else row.change, row) for row in rows]
    return [row for change, row in sorted(changes, key=lambda pair: -pair[0]) if change > tolerance]


def outcome_of(rows: Sequence[RowReplay], tolerance: float, causes: Sequence[str]) -> ReplayOutcome:
    """How far what was computed again is what was published; with other weights or another formula it differs by definition."""
    if causes or rows_beyond(rows, tolerance):
        return ReplayOutcome.DIFFERS
    return ReplayOutcome.EXACT if all(row.exact for row in rows) else ReplayOutcome.WITHIN


def compare_rows(published: Sequence[Path], replayed: Path) -> list[RowReplay]:
    """Every row of the table `replayed` against the row with the same number in `published`.

    Raises:
        InputError: a row was never published.
    """
    with open_table(replayed, SCHEMA.names) as file:
        again = file.read(columns=SCHEMA.names)
    return list(_compared(_published(published, again), again))


def _published(published: Sequence[Path], again: pa.Table) -> pa.Table:
    """The rows with the numbers of `again`, in its order."""
    numbers, wanted = again["row"].to_pylist(), again["row"].combine_chunks()
    parts = iter_batches(published, SCHEMA.names)
    found = pa.Table.from_batches((part.filter(pc.is_in(part["row"], value_set=wanted)) for part in parts), again.schema)
    places = {number: place for place, number in enumerate(found["row"].to_pylist())}
    missing = [number for number in numbers if number not in places]
    if missing:
        raise InputError("Rows were computed that the published tables do not hold.", got=missing[:10])
    return found.take([places[number] for number in numbers])


def _compared(before: pa.Table, again: pa.Table) -> Iterator[RowReplay]:
    for place in range(again.num_rows):
        one, other = before.slice(place, 1), again.slice(place, 1)
        (old,), (new,) = one.to_pylist(), other.to_pylist()
        common = {"row": new["row"], "id": new["id"]}
        if values_digest(one) == values_digest(other):
            yield RowReplay(**common, exact=True, change=0.0)
        else:
            yield RowReplay(**common, exact=False, **_difference(old, new))


def _difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The largest change of a row's numbers, or why they cannot be compared."""
    other = [name for name in _SAME if old[name] != new[name]]
    if other:
        return {"change": None, "note": f"not the same: {', '.join(other)}"}
    if old["problem"] is not None:
        return {"change": 0.0, "note": "only what is known of the row differs, no attribution"}
    changes = [_relative(old["values"], new["values"]), _relative(old["logits"], new["logits"])]
    changes += [_relative(a, b) for a, b in zip(old["layers"], new["layers"], strict=True)]
    note = "" if old["n_points"] == new["n_points"] else "other path points were chosen"
    return {"change": max(changes), "note": note}


def _relative(old: Sequence[float], new: Sequence[float]) -> float:
    """Σ|new − old| / Σ|old|; infinite where nothing became something."""
    a, b = np.asarray(old, dtype=float), np.asarray(new, dtype=float)
    change, size = float(np.abs(b - a).sum()), float(np.abs(a).sum())
    if change == 0.0:
        return 0.0
    return change / size if size else float("inf")
