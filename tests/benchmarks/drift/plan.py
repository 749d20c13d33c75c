"""Which pairs are compared: for each cell the harmless kinds, some of them several times, and harmful ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from tests.benchmarks.drift.cells import VARIETIES
from tests.benchmarks.drift.harms import CASED, GENERAL, LONG, MANY_CLASSES
from tests.benchmarks.drift.retrainings import DEPLOYMENTS, RETRAININGS, SAME_FUNCTION

N_CELLS = 12
_SPARED = 3  # every third general harm is left out in a cell, and all but a third of the copies; others in the next
_SPECIAL = 3  # pairs of a harm that few cells have
_LONG_KINDS = ("reseed", "other rows", "bootstrap", "more data", "distilled")


@dataclass(frozen=True)
class Pair:
    """The reference of a cell against one changed version. absent: the validation set cannot show the trigger."""

    cell: int
    kind: str
    number: int = 0
    harmful: bool = False
    absent: bool = False

    @property
    def key(self) -> str:
        """Name of the pair in the results."""
        where = (", absent" if self.absent else ", present") if self.harmful else ""
        return f"{self.cell}: {self.kind}{where} {self.number}"

    @property
    def group(self) -> str:
        """What sort of change it is: only the first says how often an honest retraining alarms."""
        sorts = {"retraining": RETRAININGS, "deployment": DEPLOYMENTS, "same function": SAME_FUNCTION}
        return "planted" if self.harmful else next(name for name, kinds in sorts.items() if self.kind in kinds)


def pairs(n_cells: int = N_CELLS) -> Iterator[Pair]:
    """All pairs, cell by cell, harmless and harmful by turns; a harm's trigger is absent from every second validation set."""
    for cell in range(n_cells):
        couples = zip_longest(_harmless(cell), _harmful(cell))
        yield from (pair for couple in couples for pair in couple if pair is not None)


def _harmless(cell: int) -> list[Pair]:
    """Long texts take too long for all kinds. Copies of the same function are few: they can only show that nothing is amiss."""
    trained = _LONG_KINDS if _is_long(cell) else tuple(RETRAININGS)
    copies = [kind for place, kind in enumerate(SAME_FUNCTION) if (place + cell) % _SPARED == 0]
    return [Pair(cell, kind) for kind in (*trained, *DEPLOYMENTS, *copies)]


def _harmful(cell: int) -> list[Pair]:
    special = LONG if _is_long(cell) else MANY_CLASSES if _has_many_classes(cell) else {}
    if special:
        return [Pair(cell, kind, n, True, (cell // 6 + n) % 2 == 0) for kind in special for n in range(_SPECIAL)]
    kinds = [kind for place, kind in enumerate(GENERAL) if (place + _general(cell)) % _SPARED]
    made = [Pair(cell, kind, 0, True, (_general(cell) + place) % 2 == 0) for place, kind in enumerate(kinds)]
    cased = [Pair(cell, kind, 0, True, absent) for kind in CASED for absent in (False, True)]
    return [*made, *(cased if VARIETIES[cell % len(VARIETIES)].cased else [])]


def _general(cell: int) -> int:
    """The cell's number among those with general harms."""
    return sum(not (_is_long(c) or _has_many_classes(c)) for c in range(cell))


def _is_long(cell: int) -> bool:
    return cell % len(VARIETIES) == len(VARIETIES) - 1


def _has_many_classes(cell: int) -> bool:
    return cell % len(VARIETIES) == 2
