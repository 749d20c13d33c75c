"""Power of a comparison: the share of attribution that was tested, and the smallest change that would have been seen."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from components.common.intervals import detectable
from components.drift.pairing import PairedExample
from schemas.config import DriftConfig
from schemas.drift import Power, WordShift


def power_of(examples: Sequence[PairedExample], shifts: Sequence[WordShift], config: DriftConfig) -> Power:
    """The power of the word shifts over all examples; `config` has the limits in force."""
    mass, counts = _mass_and_counts(examples)
    tested = {(shift.word, shift.toward): shift for shift in shifts if shift.slice == "all"}
    share = sum(mass[key] for key in tested)
    enough = share >= config.min_tested_mass
    return Power(
        tested_mass=min(share, 1.0),
        detectable_effect=_detectable(tested, mass, config),
        rows_needed=None if enough else _rows_needed(mass, counts, len(examples), config),
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


#: A word and the class that it is counted toward: what is tested.
_Key = tuple[str, str]


def _mass_and_counts(examples: Sequence[PairedExample]) -> tuple[dict[_Key, float], dict[_Key, int]]:
    """Per word and class its share of the absolute attribution, mean of both sides and of the examples, and in how many it is."""
    mass: dict[_Key, float] = defaultdict(float)
    counts: dict[_Key, int] = defaultdict(int)
    for example in examples:
        shares = (np.abs(example.reference) + np.abs(example.candidate)) / (2 * len(examples))
        for (word, _), share in zip(example.units, shares.tolist(), strict=True):
            mass[word.casefold(), example.toward] += share
        for word in {text.casefold() for text, _ in example.units}:
            counts[word, example.toward] += 1
    return mass, counts


def _detectable(tested: dict[_Key, WordShift], mass: dict[_Key, float], config: DriftConfig) -> float | None:
    """Change of the effect that would be found with 80 % chance for half of the tested mass."""
    words = [(key, shift.standard_error) for key, shift in tested.items() if shift.standard_error is not None]
    if not words:
        return None
    sizes = np.array([detectable(config.word_shift, config.word_shift_z, error) for _, error in words])
    order = np.argsort(sizes)
    reached = np.cumsum([mass[words[i][0]] for i in order])
    return float(sizes[order[np.searchsorted(reached, reached[-1] / 2)]])


def _rows_needed(mass: dict[_Key, float], counts: dict[_Key, int], n_rows: int, config: DriftConfig) -> int:
    """So many rows that the words which make the wanted share of the mass are expected often enough."""
    keys = sorted(counts, key=lambda key: -counts[key])
    reached = np.cumsum([mass[key] for key in keys])
    rarest = keys[min(int(np.searchsorted(reached, config.min_tested_mass)), len(keys) - 1)]
    return math.ceil(n_rows * config.min_occurrences / counts[rarest])
