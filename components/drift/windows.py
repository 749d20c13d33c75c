"""Two windows of data under one model, unpaired: the effect of words, words never seen, and the mix of classes.

A word is judged by its effect, what one occurrence adds to the explained function over a typical decision of the earlier window:
its share of a text's attribution falls as texts grow longer, and traffic need not be as long as the validation rows.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import isfinite
from typing import NamedTuple

import numpy as np
from scipy import stats

from components.drift.examples import Numbered
from components.drift.parts import PART_ROWS, Columns, Ints, Parts, Sums, find
from components.drift.statistics.word_shift import ERROR_FLOOR, unit_of_effects
from components.table.gold import gold_classes, output_of
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


@dataclass
class Answered:
    """What a window's rows are answered with, and should be: classes by their number; of a `regression` numbers, if finite."""

    n: int = 0
    regression: bool = False
    predicted: Counter[str] = field(default_factory=Counter)
    gold: Counter[str] = field(default_factory=Counter)
    outputs: array[float] = field(default_factory=lambda: array("d"))
    gold_numbers: array[float] = field(default_factory=lambda: array("d"))

    def add(self, row: Row) -> None:
        """One row more."""
        self.n += 1
        self.gold.update(gold_classes(row))
        output, number = output_of(row), row["gold_value"]
        self.regression |= output is not None
        if output is None and row["predicted"] is not None:
            self.predicted[row["predicted"]] += 1
        for kept, value in ((self.outputs, output), (self.gold_numbers, number)):
            if value is not None and isfinite(value):
                kept.append(value)


@dataclass
class WindowRows:
    """A window's rows with attribution on disk, part by part; in memory are different words, case folded, and classes explained.

    Columns of the rows: `toward` (a number), `difference`, `mass`, `output` (NaN: none). Of the words, each once a row: `word` (a
    number), `signed`, `absolute`, `effects`, `count`, see `WindowRow`.
    """

    parts: Parts = field(default_factory=Parts)
    words: Numbered = field(default_factory=Numbered)
    towards: Numbered = field(default_factory=Numbered)

    def __len__(self) -> int:
        return self.parts.n


def read_window(rows: Mapping[str, Row]) -> tuple[WindowRows, Answered]:
    """One reading of a window: the examples that have any attribution on their words, and the answers of all."""
    answered = Answered()
    return gather_window(window_rows(rows, answered)), answered


def window_rows(rows: Mapping[str, Row], answered: Answered) -> Iterator[WindowRow]:
    """The examples that have any attribution on their words; all are told to `answered`."""
    for row in rows.values():
        answered.add(row)
        made = _window_row(finite(row))
        if made is not None:
            yield made


def gather_window(rows: Iterable[WindowRow], part_rows: int = PART_ROWS) -> WindowRows:
    """All of `rows`, one part of them at a time."""
    found, waiting = WindowRows(), iter(rows)
    with found.parts as parts:
        while part := list(islice(waiting, part_rows)):
            parts.write(*_columns(part, found))
    return found


def _columns(part: Sequence[WindowRow], found: WindowRows) -> tuple[Columns, Columns]:
    numbers = {name: [getattr(row, name) for row in part] for name in ("difference", "mass", "output")}
    lines = [(row, place, word) for place, row in enumerate(part) for word in row.words]
    shares = {name: [getattr(row, name).get(word, 0.0) for row, _, word in lines] for name in ("signed", "absolute", "effects")}
    return (
        {"toward": np.array([found.towards[row.toward] for row in part], np.int32)}
        | {name: np.array(values, dtype=float) for name, values in numbers.items()},
        {
            "row": np.array([place for _, place, _ in lines], np.int32),
            "word": np.array([found.words[word] for _, _, word in lines], np.int32),
            "count": np.array([row.words[word] for row, _, word in lines], np.int32),
        }
        | {name: np.array(values, dtype=float) for name, values in shares.items()},
    )


def window_shifts(before: WindowRows, now: WindowRows, config: MonitorConfig) -> list[WindowShift]:
    """Every word that occurs often enough in both windows, per class explained; the largest |z| first.

    z = difference of the mean effects / (Welch's standard error + 0.02), p two-sided from Student's t with the degrees of
    freedom of Welch (1947), q by Benjamini and Hochberg (1995) over all words and classes.
    """
    typical = typical_decision(before) if len(before) else 1.0
    sides = [_occurrences(window, typical, config.min_occurrences) for window in (before, now)]
    keys = sorted(sides[0].keys() & sides[1].keys())
    if not keys:
        return []
    tests = [_welch(*(side[key] for side in sides)) for key in keys]
    q = stats.false_discovery_control([p for _, p in tests])
    shifts = [_shift(key, sides, *test, float(qi), config) for key, test, qi in zip(keys, tests, q, strict=True)]
    return sorted(shifts, key=lambda s: (not s.fires, -abs(s.z)))


def typical_decision(rows: WindowRows) -> float:
    """What effects are measured in, as where versions are compared: see `unit_of_effects`."""
    outputs = rows.parts.column("output")
    return unit_of_effects(rows.parts.column("difference"), rows.parts.column("mass"), outputs[~np.isnan(outputs)])


def unseen_words(before: WindowRows, now: WindowRows, config: MonitorConfig) -> UnseenWords:
    """How much of the later window's text and attribution lies on words that the earlier window does not contain."""
    words, sums, everything = list(now.words), Sums(3), 0
    unseen = np.array([word not in before.words for word in words], dtype=bool)
    for part in now.parts.read(["toward"], ["word", "absolute", "count"]):
        everything += int(part.words["count"].sum())
        new = unseen[part.words["word"]]
        absolute, count = part.words["absolute"][new], part.words["count"][new]
        sums.add(part.words["word"][new].astype(np.int64), absolute / len(now), count, np.ones(len(count)))
    mass, occurrences, n_rows = sums.finished().values.T
    total = float(mass.sum())
    named = zip(mass.tolist(), (words[key] for key in sums.keys.tolist()), n_rows.tolist(), strict=True)
    heaviest = sorted(named, key=lambda one: (-one[0], one[1]))[:_HEAVIEST]
    return UnseenWords(
        types=len(mass),
        occurrences=float(occurrences.sum()) / max(everything, 1),
        mass=total,
        heaviest=tuple((word, share, int(n)) for share, word, n in heaviest),
        fires=total > config.unseen_mass,
    )


def mix_shift(name: str, before: Counter[str], now: Counter[str], config: MonitorConfig) -> MixShift:
    """Whether the classes come in another mix: total variation distance, and Pearson's chi-squared test of homogeneity."""
    classes = sorted({*before, *now})
    counts = np.array([[side[name] for name in classes] for side in (before, now)], dtype=float)
    shares = counts / counts.sum(1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    p = float(stats.chi2_contingency(counts, correction=False).pvalue) if len(classes) > 1 else 1.0
    fires = distance > config.mix and p < config.false_discovery_rate
    return MixShift(name=name, distance=distance, p_value=p, n_before=before.total(), n_now=now.total(), fires=fires)


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


#: A word and the class explained.
_Key = tuple[str, str]


class _Occurrences(NamedTuple):
    """A word in the rows that contain it: how many, its mean signed share, mean effect in typical decisions, and its variance."""

    n: int
    share: float
    effect: float
    variance: float


def _occurrences(window: WindowRows, typical: float, minimum: int) -> dict[_Key, _Occurrences]:
    """(word, class explained) → the word there, of those that enough rows contain; means in one reading, then spreads."""
    size, sums, squares = max(len(window.words), 1), Sums(3), Sums(1)
    for code, share, effect in _lines(window, typical):
        sums.add(code, np.ones(len(code)), share, effect)
    n, shares, effects = sums.finished().values.T
    shares, effects = shares / n, effects / n
    for code, _, effect in _lines(window, typical):
        squares.add(code, (effect - effects[find(sums.keys, code)[0]]) ** 2)
    variance = squares.finished().values[:, 0] / np.maximum(n - 1, 1)
    words, towards = list(window.words), list(window.towards)
    named = [(words[code % size], towards[code // size]) for code in sums.keys.tolist()]
    enough = np.flatnonzero(n >= minimum).tolist()
    return {named[k]: _Occurrences(int(n[k]), float(shares[k]), float(effects[k]), float(variance[k])) for k in enough}


def _lines(window: WindowRows, typical: float) -> Iterator[tuple[Ints, Floats, Floats]]:
    """Keys of word and class, signed shares, and effects in typical decisions; part by part."""
    for part in window.parts.read(["toward"], ["word", "signed", "effects"]):
        code = part.rows["toward"].astype(np.int64)[part.row] * len(window.words) + part.words["word"]
        yield code, part.words["signed"], part.words["effects"] / typical


def _welch(before: _Occurrences, now: _Occurrences) -> tuple[float, float]:
    """z with the floor on the error, and its p."""
    a, b = (side.variance / side.n for side in (before, now))
    z = float((now.effect - before.effect) / (np.sqrt(a + b) + ERROR_FLOOR))
    spread = a**2 / (before.n - 1) + b**2 / (now.n - 1)
    freedom = (a + b) ** 2 / spread if spread > 0 else before.n + now.n - 2
    return z, float(2 * stats.t.sf(abs(z), freedom))


def _shift(
    key: _Key, sides: Sequence[Mapping[_Key, _Occurrences]], z: float, p: float, q: float, config: MonitorConfig
) -> WindowShift:
    before, now = (side[key] for side in sides)
    beyond = abs(now.effect - before.effect) >= config.word_shift and abs(z) >= config.word_shift_z
    return WindowShift(
        word=key[0],
        toward=key[1],
        share_before=before.share,
        share_now=now.share,
        effect_before=before.effect,
        effect_now=now.effect,
        effect=now.effect - before.effect,
        z=z,
        p_value=p,
        q_value=q,
        n_before=before.n,
        n_now=now.n,
        fires=beyond and q <= config.false_discovery_rate,
    )
