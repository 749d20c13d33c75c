"""Two windows of data under one model, unpaired: word shares, words never seen, and the mix of classes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from components.drift.statistics.word_shift import ERROR_FLOOR
from components.table.rows import Row
from components.table.units import Floats, finite, name_of, units_of
from schemas.config import MonitorConfig
from schemas.monitor import MixShift, UnseenWords, WindowShift

_HEAVIEST = 10


@dataclass(frozen=True)
class WindowRow:
    """One example: signed shares per word, toward the class explained, and the words' absolute shares; both sum to at most 1."""

    toward: str
    signed: dict[str, float]
    absolute: dict[str, float]
    words: Counter[str]


def window_rows(rows: Mapping[str, Row]) -> list[WindowRow]:
    """The examples of a window that have any attribution on their words."""
    return [made for row in rows.values() if (made := _window_row(finite(row))) is not None]


def window_shifts(before: Sequence[WindowRow], now: Sequence[WindowRow], config: MonitorConfig) -> list[WindowShift]:
    """Every word that occurs often enough in both windows, per class explained; the largest |z| first.

    z = difference of the mean shares / (Welch's standard error + 0.02), p two-sided from Student's t with the degrees of
    freedom of Welch (1947), q by Benjamini and Hochberg (1995) over all words and classes.
    """
    sides = [_shares(window) for window in (before, now)]
    keys = [k for k in sorted(sides[0]) if min(len(side.get(k, ())) for side in sides) >= config.min_occurrences]
    if not keys:
        return []
    tests = [_welch(*(np.array(side[key]) for side in sides)) for key in keys]
    q = stats.false_discovery_control([p for _, p in tests])
    shifts = [_shift(key, sides, *test, float(qi), config) for key, test, qi in zip(keys, tests, q, strict=True)]
    return sorted(shifts, key=lambda s: (not s.fires, -abs(s.z)))


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
    return WindowRow(row["target"], dict(signed), dict(absolute), Counter(word for word, _ in units))


def _shares(window: Sequence[WindowRow]) -> dict[tuple[str, str], list[float]]:
    """(word, class explained) → its signed share in each row that contains it."""
    shares: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in window:
        for word, share in row.signed.items():
            shares[word, row.toward].append(share)
    return shares


def _welch(before: Floats, now: Floats) -> tuple[float, float]:
    """z with the floor on the error, and its p."""
    a, b = (float(side.var(ddof=1)) / len(side) for side in (before, now))
    z = float((now.mean() - before.mean()) / (np.sqrt(a + b) + ERROR_FLOOR))
    spread = a**2 / (len(before) - 1) + b**2 / (len(now) - 1)
    freedom = (a + b) ** 2 / spread if spread > 0 else len(before) + len(now) - 2
    return z, float(2 * stats.t.sf(abs(z), freedom))


_Shares = Mapping[tuple[str, str], list[float]]


def _shift(key: tuple[str, str], sides: Sequence[_Shares], z: float, p: float, q: float, config: MonitorConfig) -> WindowShift:
    before, now = (float(np.mean(side[key])) for side in sides)
    beyond = abs(now - before) >= config.word_shift and abs(z) >= config.word_shift_z
    return WindowShift(
        word=key[0],
        toward=key[1],
        before=before,
        now=now,
        shift=now - before,
        z=z,
        p_value=p,
        q_value=q,
        n_before=len(sides[0][key]),
        n_now=len(sides[1][key]),
        fires=beyond and q <= config.false_discovery_rate,
    )
