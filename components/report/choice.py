"""What the report keeps of every row, columns of numbers; and the rows that it shows, those worth a look first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.report.answers import Answers, answer_of, read_answers, unit_of_outputs
from components.table import gold
from components.table.reader import iter_batches
from schemas.drift import DriftReport

#: The `place` of a row that is none of the drift report's examples.
NOWHERE = np.iinfo(np.int32).max

_COLUMNS = ("row", "id", "converged", "residuals", "n_points", *gold.COLUMNS)
_SHARE = 5  # each of the four special groups may take one fifth of the examples


@dataclass(frozen=True, slots=True)
class Briefs:
    """What every explained row is chosen by, an entry per row in the order of the data set; and what is said of all of them.

    `place` is among the drift report's examples, worst first: same answer, different reason. `changed`: the reference version
    answered otherwise. `residuals` are `rows layers`; `mean_points` are path points, `layers`. `n_reference` counts the rows
    that the reference version explained.
    """

    row: NDArray[np.int64]
    place: NDArray[np.int32]
    wrong: NDArray[np.bool_]
    converged: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    residuals: NDArray[np.float64]
    mean_points: NDArray[np.float64]
    n_reference: int = 0

    def __len__(self) -> int:
        return len(self.row)

    @property
    def n_unconverged(self) -> int:
        """Rows of which some integral did not converge."""
        return len(self) - int(np.count_nonzero(self.converged))


@dataclass(frozen=True, slots=True)
class Group:
    """Rows taken for one reason; `found` counts all such rows, also those not drawn."""

    name: str
    why: str
    rows: tuple[int, ...]
    found: int


def read_briefs(tables: Iterable[Path], reference_tables: Iterable[Path], drift: DriftReport) -> Briefs:
    """Every explained row; rows with a problem are left out. Of a row its numbers are held, and one digest of its reference."""
    known, unit = read_answers(reference_tables), unit_of_outputs(drift)
    places = {example.id: place for place, example in enumerate(drift.worst)}
    parts: defaultdict[str, list[NDArray[Any]]] = defaultdict(list)
    points = np.zeros(0)
    for batch in iter_batches(tables, _COLUMNS, explained=True):
        if rows := batch.to_pylist(maps_as_pydicts="strict"):
            for name, column in _columns(rows, places, known, unit).items():
                parts[name].append(column)
            more = np.array([row["n_points"] for row in rows], float).sum(axis=0)
            points = points + more if len(points) else more
    return _joined(parts, points, len(known))


def choose(briefs: Briefs, limit: int) -> list[Group]:
    """At most `limit` rows in groups, no row twice, the same for the same input."""
    placed = np.flatnonzero(briefs.place != NOWHERE)
    special = [
        ("reasons changed", "same answer, but the reasons changed most", placed[np.argsort(briefs.place[placed])]),
        ("not converged", "the integral did not converge", np.flatnonzero(~briefs.converged)),
        ("answer changed", "the reference version answered otherwise", np.flatnonzero(briefs.changed)),
        ("wrong", "the prediction differs from the gold label", np.flatnonzero(briefs.wrong)),
    ]
    groups: list[Group] = []
    taken: set[int] = set()
    for name, why, found in special:
        groups.append(_take(name, why, briefs.row[found], min(max(1, limit // _SHARE), limit - len(taken)), taken))
    groups.append(_take("in order", "the first remaining rows of the data set", briefs.row, limit - len(taken), taken))
    return [group for group in groups if group.rows]


def ranked(briefs: Briefs, limit: int) -> list[int]:
    """At most `limit` rows, those most worth a look first. Equals stay in the order of the data set."""
    order = np.lexsort((~briefs.wrong, ~briefs.changed, briefs.converged, briefs.place))  # the last one decides first
    rows: list[int] = briefs.row[order[:limit]].tolist()
    return rows


def _columns(
    rows: Sequence[Mapping[str, Any]], places: Mapping[str, int], known: Answers, unit: float | None
) -> dict[str, NDArray[Any]]:
    before = [known.of(row["id"]) if len(known) else None for row in rows]
    changed = [other is not None and answer_of(row).differs(other, unit) for row, other in zip(rows, before, strict=True)]
    return {
        "row": np.array([row["row"] for row in rows], np.int64),
        "place": np.array([places.get(row["id"], NOWHERE) for row in rows], np.int32),
        "wrong": np.array([gold.is_wrong(row) for row in rows], np.bool_),
        "converged": np.array([row["converged"] for row in rows], np.bool_),
        "changed": np.array(changed, np.bool_),
        "residuals": np.array([row["residuals"] for row in rows], np.float64),
    }


def _joined(parts: dict[str, list[NDArray[Any]]], points: NDArray[np.float64], n_reference: int) -> Briefs:
    """The columns in the order of the data set; `parts` are given up one by one, so that no two copies of all are held."""
    if not parts:
        none = np.zeros(0, np.bool_)
        numbers = np.zeros(0, np.int64), np.zeros(0, np.int32)
        return Briefs(*numbers, none, none, none, np.zeros((0, 0)), points, n_reference)
    order = np.argsort(np.concatenate(parts["row"]), kind="stable")
    columns = {name: np.concatenate(parts.pop(name))[order] for name in list(parts)}
    return Briefs(**columns, mean_points=points / len(order), n_reference=n_reference)


def _take(name: str, why: str, candidates: NDArray[np.int64], most: int, taken: set[int]) -> Group:
    fresh = tuple(islice((int(row) for row in candidates if int(row) not in taken), most))
    taken.update(fresh)
    return Group(name, why, fresh, len(candidates))
