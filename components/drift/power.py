"""Power of a comparison: the share of attribution that was tested, and the smallest change that would have been seen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from components.common.intervals import detectable
from components.drift.examples import Examples, shares_of
from components.drift.parts import Sums
from components.table.units import Floats
from schemas.config import DriftConfig
from schemas.drift import Power, WordShift


def power_of(examples: Examples, shifts: Sequence[WordShift], config: DriftConfig) -> Power:
    """The power of the word shifts over all examples; `config` has the limits in force."""
    found, numbers = _mass_and_counts(examples), {word: number for number, word in enumerate(examples.words)}
    tested = [shift for shift in shifts if shift.slice == "all"]
    keys = [examples.towards[shift.toward] * len(numbers) + numbers[shift.word] for shift in tested]
    mass = found.of(np.array(keys, dtype=np.int64))[:, 0]
    (masses, counts), share = found.values.T, float(mass.sum())
    enough = share >= config.min_tested_mass
    return Power(
        tested_mass=min(share, 1.0),
        detectable_effect=_detectable(tested, mass, config),
        rows_needed=None if enough else _rows_needed(masses, counts, len(examples), config),
    )


def shortage(power: Power, config: DriftConfig) -> tuple[str, str] | None:
    """Why too little was tested for a pass, and what to do, if so."""
    if power.tested_mass >= config.min_tested_mass:
        return None
    reason = (
        f"only {power.tested_mass:.0%} of the attribution lies on words that occur in {config.min_occurrences} rows or more and "
        f"could be tested; at least {config.min_tested_mass:.0%} is needed"
    )
    return reason, f"explain more rows: about {power.rows_needed:,} of this kind would do (drift.min_tested_mass)"


def _mass_and_counts(examples: Examples) -> Sums:
    """Per class and word its share of the absolute attribution, mean of both sides and of the examples, and in how many it is."""
    sums, size = Sums(2), len(examples.words)
    for part in examples.parts.read(["toward"], ["text", "reference", "candidate"]):
        code = part.rows["toward"].astype(np.int64)[part.row] * size + examples.word_of[part.words["text"]]
        share = sum(np.abs(side) for side in shares_of(part)) / (2 * len(examples))
        different, place = np.unique(code, return_inverse=True)
        pairs = np.unique(part.row * np.int64(len(different)) + place)
        sums.add(
            different,
            np.bincount(place, share, len(different)),
            np.bincount(pairs % len(different), minlength=len(different)),
        )
    return sums.finished()


def _detectable(tested: Sequence[WordShift], mass: Floats, config: DriftConfig) -> float | None:
    """Change of the effect that would be found with 80 % chance for half of the tested mass."""
    words = [(share, shift.standard_error) for share, shift in zip(mass, tested, strict=True) if shift.standard_error is not None]
    if not words:
        return None
    sizes = np.array([detectable(config.word_shift, config.word_shift_z, error) for _, error in words])
    order = np.argsort(sizes)
    reached = np.cumsum([words[i][0] for i in order])
    return float(sizes[order[np.searchsorted(reached, reached[-1] / 2)]])


def _rows_needed(mass: Floats, counts: Floats, n_rows: int, config: DriftConfig) -> int:
    """So many rows that the words which make the wanted share of the mass are expected often enough."""
    order = np.argsort(-counts, kind="stable")
    reached = np.cumsum(mass[order])
    rarest = order[min(int(np.searchsorted(reached, config.min_tested_mass)), len(order) - 1)]
    return math.ceil(n_rows * config.min_occurrences / float(counts[rarest]))
