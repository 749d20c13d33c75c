"""Two windows of data under one model, unpaired: the effect of words, words never seen, and the mix of classes.

A word is judged by its effect, what one occurrence adds to the explained function over a typical decision of the earlier window:
its share of a text's attribution falls as texts grow longer, and traffic need not be as long as the validation rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from components.drift.statistics.word_shift import ERROR_FLOOR, unit_of_effects
from components.table.gold import output_of
from components.table.rows import Row
from components.table.units import Floats, finite, name_of, units_of
from schemas.config import MonitorConfig
from schemas.drift import MixShift, UnseenWords, WindowShift

_HEAVIEST = 10


@dataclass(frozen=True)
class WindowRow:
    """One example.

    Per word, toward the class explained: the signed share and the absolute share of the attribution (the sums are at most 1), the
    effect of one occurrence, in logits, and the number of occurrences. difference: |f(x) − f(x')|; mass: Σ|value|; in logits.
    output: of a regression.
    """

    toward: str
    signed: dict[str, float]
    absolute: dict[str, float]
    effects: dict[str, float]
    words: Counter[str]
    difference: float
    mass: float
    output: float | None = None


def window_rows(rows: Mapping[str, Row]) -> list[WindowRow]:
    """The examples of a window that have any attribution on their words."""
    return [made for row in rows.values() if (made := _window_row(finite(row))) is not None]


def window_shifts(before: Sequence[WindowRow], now: Sequence[WindowRow], config: MonitorConfig) -> list[WindowShift]:
    """Every word that occurs often enough in both windows, per class explained; the largest |z| first.

    z = difference of the mean effects / (Welch's standard error + 0.02), p two-sided from Student's t with the degrees of
    freedom of Welch (1947), q by Benjamini and Hochberg (1995) over all words and classes.
    """
    typical = typical_decision(before)
    sides = [_occurrences(window, typical) for window in (before, now)]
    keys = [k for k in sorted(sides[0]) if min(len(side.get(k, ())) for side in sides) >= config.min_occurrences]
    if not keys:
        return []
    tests = [_welch(*(np.array([one.effect for one in side[key]]) for side in sides)) for key in keys]
    q = stats.false_discovery_control([p for _, p in tests])
    shifts = [_shift(key, sides, *test, float(qi), config) for key, test, qi in zip(keys, tests, q, strict=True)]
    return sorted(shifts, key=lambda s: (not s.fires, -abs(s.z)))


def typical_decision(rows: Sequence[WindowRow]) -> float:
    """What effects are measured in, as where versions are compared: see `unit_of_effects`."""
    outputs = [row.output for row in rows if row.output is not None]
    return unit_of_effects(np.array([row.difference for row in rows]), np.array([row.mass for row in rows]), np.array(outputs))


def unseen_words(before: Sequence[WindowRow], now: Sequence[WindowRow], config: MonitorConfig) -> UnseenWords:
    """How much of the later window's text and attribution lies on words that the earlier window does not contain."""
    known = {word for row in before for word in row.words}
    mass: dict[str, float] = defaultdict(float)
    occurrences: Counter[str] = Counter()
    n_rows: Counter[str] = Counter()
    for row in now:
        for word in row.words.keys() - known:
            mass[word] += row.absolute[word] / len(now)
            occurrences[word] += row.words[word]
            n_rows[word] += 1
    total = sum(mass.values())
    heaviest = sorted(mass, key=lambda word: (-mass[word], word))[:_HEAVIEST]
    return UnseenWords(
        types=len(mass),
        occurrences=sum(occurrences.values()) / max(sum(row.words.total() for row in now), 1),
        mass=total,
        heaviest=tuple((word, mass[word], n_rows[word]) for word in heaviest),
        fires=total > config.unseen_mass,
    )


def mix_shift(name: str, before: Sequence[str], now: Sequence[str], config: MonitorConfig) -> MixShift:
    """Whether the classes come in another mix: total variation distance, and Pearson's chi-squared test of homogeneity."""
    classes = sorted({*before, *now})
    counts = np.array([[side.count(name) for name in classes] for side in (list(before), list(now))], dtype=float)
    shares = counts / counts.sum(1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    p = float(stats.chi2_contingency(counts, correction=False).pvalue) if len(classes) > 1 else 1.0
    fires = distance > config.mix and p < config.false_discovery_rate
    return MixShift(name=name, distance=distance, p_value=p, n_before=len(before), n_now=len(now), fires=fires)


def number_shift(name: str, before: Sequence[float], now: Sequence[float], config: MonitorConfig) -> MixShift:
    """Whether a regression's numbers are distributed otherwise: the largest distance of the distribution functions, and its p.

    Kolmogorov and Smirnov's test of two samples. Of two classes the distance is the total variation distance of their mixes.
    """
    found = stats.ks_2samp(before, now)
    distance, p = float(found.statistic), float(found.pvalue)
    fires = distance > config.mix and p < config.false_discovery_rate
    return MixShift(name=name, distance=distance, p_value=p, n_before=len(before), n_now=len(now), fires=fires)


def _window_row(row: Row) -> WindowRow | None:
    units = [(name_of(row, span).casefold(), value) for span, value in units_of(row)]
    total = sum(abs(value) for _, value in units)
    if total == 0:
        return None
    signed: dict[str, float] = defaultdict(float)
    absolute: dict[str, float] = defaultdict(float)
    for word, value in units:
        signed[word] += value / total
        absolute[word] += abs(value) / total
    words = Counter(word for word, _ in units)
    return WindowRow(
        toward=row["target"],
        signed=dict(signed),
        absolute=dict(absolute),
        effects={word: share * total / words[word] for word, share in signed.items()},
        words=words,
        difference=abs(row["f_input"] - row["f_baseline"]),
        mass=total,
        output=output_of(row),
    )


class _Occurrence(NamedTuple):
    """A word in one row: its signed share, and its effect in typical decisions."""

    share: float
    effect: float


_Occurrences = Mapping[tuple[str, str], Sequence[_Occurrence]]


def _occurrences(window: Sequence[WindowRow], typical: float) -> _Occurrences:
    """(word, class explained) → the word in each row that contains it."""
    found: dict[tuple[str, str], list[_Occurrence]] = defaultdict(list)
    for row in window:
        for word, share in row.signed.items():
            found[word, row.toward].append(_Occurrence(share, row.effects[word] / typical))
    return found


def _welch(before: Floats, now: Floats) -> tuple[float, float]:
    """z with the floor on the error, and its p."""
    a, b = (float(side.var(ddof=1)) / len(side) for side in (before, now))
    z = float((now.mean() - before.mean()) / (np.sqrt(a + b) + ERROR_FLOOR))
    spread = a**2 / (len(before) - 1) + b**2 / (len(now) - 1)
    freedom = (a + b) ** 2 / spread if spread > 0 else len(before) + len(now) - 2
    return z, float(2 * stats.t.sf(abs(z), freedom))


def _shift(
    key: tuple[str, str], sides: Sequence[_Occurrences], z: float, p: float, q: float, config: MonitorConfig
) -> WindowShift:
    (share_before, before), (share_now, now) = (np.mean(side[key], axis=0).tolist() for side in sides)
    beyond = abs(now - before) >= config.word_shift and abs(z) >= config.word_shift_z
    return WindowShift(
        word=key[0],
        toward=key[1],
        share_before=share_before,
        share_now=share_now,
        effect_before=before,
        effect_now=now,
        effect=now - before,
        z=z,
        p_value=p,
        q_value=q,
        n_before=len(sides[0][key]),
        n_now=len(sides[1][key]),
        fires=beyond and q <= config.false_discovery_rate,
    )
