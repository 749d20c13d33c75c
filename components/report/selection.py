"""Choice and order of rows: those most worth a look first, then the data set in its order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from components.report.rows import Brief
from components.table.rows import is_wrong

_SHARE = 5  # each of the four special groups may take one fifth of the examples


@dataclass(frozen=True, slots=True)
class Group:
    """Rows taken for one reason; `found` counts all such rows, also those not drawn."""

    name: str
    why: str
    rows: tuple[int, ...]
    found: int


def choose(briefs: list[Brief], limit: int, changed_reasons: Iterable[str], changed_answers: Set[str]) -> list[Group]:
    """At most `limit` rows in groups, no row twice, the same for the same input.

    Args:
        briefs: all explained rows, in the order of the data set.
        limit: most rows drawn.
        changed_reasons: ids from the drift report, worst first (same answer, different reason).
        changed_answers: ids whose predicted class differs from the reference's.
    """
    by_id = {brief.id: brief for brief in briefs}
    wrong = [brief for brief in briefs if is_wrong(brief.label, brief.predicted)]
    special = [
        ("reasons changed", "same answer, but the reasons changed most", [by_id[i] for i in changed_reasons if i in by_id]),
        ("not converged", "the integral did not converge", [brief for brief in briefs if not brief.converged]),
        (
            "answer changed",
            "the reference version answered otherwise",
            [brief for brief in briefs if brief.id in changed_answers],
        ),
        ("wrong", "the prediction differs from the gold label", wrong),
    ]
    groups: list[Group] = []
    taken: set[int] = set()
    for name, why, candidates in special:
        groups.append(_take(name, why, candidates, min(max(1, limit // _SHARE), limit - len(taken)), taken))
    groups.append(_take("in order", "the first remaining rows of the data set", briefs, limit - len(taken), taken))
    return [group for group in groups if group.rows]


def ranked(briefs: Iterable[Brief], changed_reasons: Sequence[str], changed_answers: Set[str]) -> list[int]:
    """All rows, those most worth a look first; arguments as for `choose`. Equals stay in the order of the data set."""
    place = {key: rank for rank, key in enumerate(changed_reasons)}
    last = len(place)

    def urgency(brief: Brief) -> tuple[int, bool, bool, bool]:
        wrong = is_wrong(brief.label, brief.predicted)
        return place.get(brief.id, last), brief.converged, brief.id not in changed_answers, not wrong

    return [brief.row for brief in sorted(briefs, key=urgency)]


def _take(name: str, why: str, candidates: list[Brief], most: int, taken: set[int]) -> Group:
    fresh = [brief.row for brief in candidates if brief.row not in taken][:most]
    taken.update(fresh)
    return Group(name, why, tuple(fresh), len(candidates))
