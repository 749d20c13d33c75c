"""Which pairs are compared: for each cell the harmless kinds, some of them several times, and the harmful ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.benchmarks.drift.harms import HARMS
from tests.benchmarks.drift.retrainings import CONVERSIONS, RETRAININGS

N_CELLS = 6
_REPEATED = {"reseed": 3}


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


def pairs(n_cells: int = N_CELLS) -> Iterator[Pair]:
    """All pairs, cell by cell, harmless and harmful by turns; a harm's trigger is absent in every second cell."""
    for cell in range(n_cells):
        kinds = [(kind, n) for kind in (*RETRAININGS, *CONVERSIONS) for n in range(_REPEATED.get(kind, 1))]
        harmless = [Pair(cell, kind, n) for kind, n in kinds]
        harmful = [Pair(cell, kind, 0, True, (cell // 2 + place + cell) % 2 == 0) for place, kind in enumerate(HARMS)]
        yield from (pair for couple in zip(harmless, harmful, strict=False) for pair in couple)
        yield from (*harmless[len(harmful) :], *harmful[len(harmless) :])
