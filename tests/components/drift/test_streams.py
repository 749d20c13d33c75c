"""Drift and monitoring over parts of any size: as a literal version that holds all examples, in memory that does not grow."""

from __future__ import annotations

import tracemalloc
from collections import Counter, defaultdict
from itertools import combinations, product

import numpy as np
import pytest

from components.drift import occurrences
from components.drift.examples import gather
from components.drift.occurrences import Vocabulary
from components.drift.parts import Sums
from components.drift.power import power_of
from components.drift.sets import WordSet, word_sets
from components.drift.slices import most_changed
from components.drift.statistics.ranking import global_ranking, ndcg
from components.drift.statistics.set_shift import set_noise
from components.drift.statistics.word_shift import typical_decisions, word_shifts
from components.drift.windows import WindowRow, gather_window, unseen_words, window_shifts
from schemas.config import DriftConfig, MonitorConfig
from tests.helpers.drift_tables import example

CONFIG = DriftConfig(min_occurrences=4)
WORDS = ["so", "So", "it", "NOT", "not", "no", "is", "he", "film", "plot", "7", "12", "never", "GREAT", "great", "she"]
SIZES = [1, 7, 512]


def drawn(seed, n=150):
    """Examples of a few words in two spellings, two segments, two classes, some margins unknown, some words apart by a comma."""
    random = np.random.default_rng(seed)
    for i in range(n):
        words = [WORDS[k] for k in random.integers(0, len(WORDS), random.integers(2, 9))]
        text, units = "", []
        for word in words:
            text += ("" if not text else ", " if random.random() < 0.2 else " ") + word
            units.append((word, (len(text) - len(word), len(text))))
        sides = random.standard_normal((2, len(words)))
        sides /= np.abs(sides).sum(1, keepdims=True)
        answer = "AB"[int(random.integers(2))]
        yield example(
            *sides,
            words,
            id=str(i),
            text=text,
            units=units,
            segments={"site": "xyz"[int(random.integers(3))], "class": "uv"[i % 2]},
            predictions=(answer, answer),
            toward="AB"[int(random.integers(2))],
            mass=tuple(random.uniform(0.5, 2.0, 2)),
            differences=tuple(random.uniform(0.2, 2.0, 2)),
            margin=None if i % 5 == 0 else float(random.uniform(0, 1)),
        )


def phrases_in(one, longest):
    """Word tuples and where they begin, words alone too."""
    spans = [span for _, span in one.units]
    for first in range(len(spans)):
        for length in range(1, longest + 1):
            gaps = [one.text[spans[k][1] : spans[k + 1][0]] for k in range(first, first + length - 1) if k + 1 < len(spans)]
            if first + length <= len(spans) and all(gap.isspace() for gap in gaps):
                yield tuple(one.units[k][0].casefold() for k in range(first, first + length)), first


def names_of(one):
    return {f"class = {one.predictions[0]}", f"site = {one.segments['site']}", f"segment class = {one.segments['class']}"}


def literal_shifts(some, config):
    """(slice, words, class) → shares, effects, spread of the change, examples, share of answers turned; example by example."""
    typical = typical_decisions(gather(some))
    found = defaultdict(list)
    for one in some:
        places = defaultdict(list)
        for words, first in phrases_in(one, config.phrase_words):
            places[words].append(first)
        for words, starts in places.items():
            spots = [first + k for first in starts for k in range(len(words))]
            shares = [sum(side[k] for k in spots) for side in (one.reference, one.candidate)]
            effects = [m / t * share / len(starts) for m, t, share in zip(one.mass, typical, shares, strict=True)]
            for name in {"all", *(names_of(one) if len(words) == 1 else ())}:
                found[name, words, one.toward].append((*shares, *effects, one.margin))
    rows = {}
    for (name, words, toward), lines in found.items():
        everywhere = len(found["all", words, toward])
        if len(lines) < config.min_occurrences or (name != "all" and len(lines) == everywhere):
            continue
        table = np.array([line[:4] for line in lines])
        change, effect = table[:, 3] - table[:, 2], table[:, 3].mean() - table[:, 2].mean()
        margins = [line[4] / typical[0] for line in lines if line[4] is not None]
        turned = np.mean([m < abs(effect) for m in margins]) if margins else None
        error = change.std(ddof=1) / np.sqrt(len(lines)) + 0.02
        rows[name, " ".join(words), toward] = (*table.mean(0), error, change.mean() / error, len(lines), turned)
    return rows


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", [0, 1])
def test_shifts_of_words_and_phrases_are_those_of_all_examples_at_once(seed, size):
    some = list(drawn(seed))
    shifts = word_shifts(gather(some, part_rows=size), CONFIG)
    found = {
        (s.slice, s.word, s.toward): (
            *(s.reference_share, s.candidate_share, s.reference_effect, s.candidate_effect),
            *(s.standard_error, s.z, s.n, s.turned),
        )
        for s in shifts
    }
    expected = literal_shifts(some, CONFIG)
    assert found.keys() == expected.keys()
    assert {len(key[1].split()) for key in found} >= {1, 2}
    assert {key[0] for key in found} == {"all"}.union(*map(names_of, some))
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, rel=1e-9, abs=1e-12), key


@pytest.mark.parametrize("bits", [2, 21])
def test_frequent_phrases_are_those_that_are_counted_one_by_one(monkeypatch, bits):
    """A table of four places, which all fill up, only lets more be counted exactly."""
    monkeypatch.setattr(occurrences, "_BUCKET_BITS", bits)
    some = list(drawn(3))
    vocabulary = Vocabulary.of(gather(some, part_rows=11), 4, 3)
    found = {vocabulary.named(level, key) for level, keys in enumerate(vocabulary.keys) for key in range(len(keys))}
    counts = Counter(key for one in some for key in {(words, one.toward) for words, _ in phrases_in(one, 3)})
    assert found == {key for key, n in counts.items() if n >= 4}


@pytest.mark.parametrize("size", SIZES)
def test_sets_power_and_ranking_are_those_of_all_examples_at_once(size):
    some, sets = list(drawn(4)), [*word_sets(None), WordSet("as spelled", {"So", "it", "NOT", "GREAT", "he", "12"}.__contains__)]
    examples = gather(some, part_rows=size)
    expected = {(name, toward): values for name, toward, *values in literal_sets(some, sets)}
    found = {(s.name, s.toward): [s.words, s.mean, s.spread] for s in set_noise(examples, sets)}
    assert found.keys() == expected.keys() != set()
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, rel=1e-9), key
    shifts = [s for s in word_shifts(examples, CONFIG) if s.length == 1]
    tested = {(s.word, s.toward) for s in shifts if s.slice == "all"}
    lines = [
        (w.casefold(), e.toward, (abs(a) + abs(b)) / 2)
        for e in some
        for (w, _), a, b in zip(e.units, e.reference, e.candidate, strict=True)
    ]
    share = sum(mass for word, toward, mass in lines if (word, toward) in tested) / len(some)
    assert power_of(examples, shifts, CONFIG).tested_mass == pytest.approx(share)
    words = sorted({word for word, _, _ in lines})
    sides = np.zeros((2, len(words)))
    for e in some:
        for (word, _), *shares in zip(e.units, e.reference, e.candidate, strict=True):
            sides[:, words.index(word.casefold())] += np.abs(shares)
    assert global_ranking(examples).value == pytest.approx(ndcg(*sides))


def literal_sets(some, sets):
    """Words, mean change less the others' median, and spread, of every set and class; word by word over lists."""
    typical = typical_decisions(gather(some))

    def by_word(toward, chosen):
        found = defaultdict(list)
        for one in some if toward else ():
            inside = defaultdict(list)
            for (text, _), a, b in zip(one.units, one.reference, one.candidate, strict=True):
                if one.toward == toward and chosen(text):
                    inside[text.casefold()].append(b * one.mass[1] / typical[1] - a * one.mass[0] / typical[0])
            for word, changes in inside.items():
                found[word].append(np.mean(changes))
        return [np.mean(changes) for changes in found.values()]

    for toward, one in product("AB", sets):
        members, others = by_word(toward, one.holds), by_word(toward, lambda text, one=one: not one.holds(text))
        if len(members) >= 5:
            yield one.name, toward, len(members), np.mean(members) - np.median(others), np.std(members, ddof=1)


@pytest.mark.parametrize("size", SIZES)
def test_the_changed_slice_is_that_of_masks_over_all_examples(size):
    some = list(drawn(5, 90))
    found = most_changed(gather(some, part_rows=size), word_sets(None), seed=3)
    changes = np.array([np.abs(e.candidate - e.reference).sum() / 2 for e in some])
    masks = list(literal_masks(some, word_sets(None)))
    z = [(changes[m].mean() - changes.mean()) / (changes.std(ddof=1) * np.sqrt((1 - m.mean()) / m.sum())) for _, m in masks]
    best = int(np.argmax(z))
    assert (found.searched, found.conditions, found.n) == (len(masks), masks[best][0], masks[best][1].sum())
    assert (found.z, found.reason_change) == pytest.approx((z[best], changes[masks[best][1]].mean()))
    random, members = np.random.default_rng(3), np.array([mask for _, mask in masks], dtype=float)
    dealt = random.permuted(np.tile(changes, (999, 1)), axis=1).T
    sizes = members.sum(1, keepdims=True)
    of_deals = (members @ dealt / sizes - changes.mean()) / (changes.std(ddof=1) * np.sqrt((1 - sizes / len(some)) / sizes))
    assert found.p_value == pytest.approx((1 + (of_deals.max(0) >= z[best] - 1e-9).sum()) / 1000)


def literal_masks(some, sets):
    """Conjunctions of at most one condition of each kind, with at least ten examples and not all, each mask once."""
    lengths = np.array([len(e.units) for e in some])
    low, high = (int(np.quantile(lengths, share)) for share in (1 / 3, 2 / 3))
    kinds = [
        {f"segment class = {v}": [e.segments["class"] == v for e in some] for v in "uv"},
        {f"site = {v}": [e.segments["site"] == v for e in some] for v in "xyz"},
        {f"class = {v}": [e.predictions[0] == v for e in some] for v in "AB"},
        {
            f"up to {low} words": lengths <= low,
            f"{low + 1} to {high} words": (lengths > low) & (lengths <= high),
            f"more than {high} words": lengths > high,
        },
        {f"with {one.name}": [any(one.holds(text) for text, _ in e.units) for e in some] for one in sets},
    ]
    kinds = [{name: np.array(mask) for name, mask in kind.items() if np.sum(mask) >= 10} for kind in kinds]
    seen = set()
    for depth in range(1, len(kinds) + 1):
        for chosen in combinations([kind for kind in kinds if kind], depth):
            for conditions in product(*(kind.items() for kind in chosen)):
                mask = np.logical_and.reduce([mask for _, mask in conditions])
                if 10 <= mask.sum() < len(some) and mask.tobytes() not in seen:
                    seen.add(mask.tobytes())
                    yield tuple(name for name, _ in conditions), mask


def rows_of_a_window(seed, n=120):
    random = np.random.default_rng(seed)
    for _ in range(n):
        words = Counter(WORDS[k].casefold() for k in random.integers(0, len(WORDS) - 3 * (seed == 0), 6))
        shares = dict(zip(words, random.dirichlet(np.ones(len(words))) * random.choice([-1, 1], len(words)), strict=True))
        absolute = {word: abs(share) for word, share in shares.items()}
        effects = {word: 2 * share / words[word] for word, share in shares.items()}
        yield WindowRow("AB"[int(random.integers(2))], shares, absolute, effects, words, float(random.uniform(0.2, 2)), 2.0)


@pytest.mark.parametrize("size", SIZES)
def test_windows_are_compared_alike_in_parts_of_any_size(size):
    sides = [list(rows_of_a_window(seed)) for seed in (0, 1)]
    typical = np.median([row.difference for row in sides[0]])
    shifts = window_shifts(*(gather_window(side, part_rows=size) for side in sides), MonitorConfig(min_occurrences=5))
    assert len(shifts) > 10
    for shift in shifts:
        own = [[row for row in side if row.toward == shift.toward and shift.word in row.words] for side in sides]
        before, now = (np.array([row.effects[shift.word] for row in some]) / typical for some in own)
        error = np.sqrt(before.var(ddof=1) / len(before) + now.var(ddof=1) / len(now)) + 0.02
        assert (shift.n_before, shift.n_now) == (len(before), len(now))
        assert shift.z == pytest.approx((now.mean() - before.mean()) / error)
    unseen = unseen_words(*(gather_window(side, part_rows=size) for side in sides), MonitorConfig())
    known = {word for row in sides[0] for word in row.words}
    absent = [share for row in sides[1] for word, share in row.absolute.items() if word not in known]
    assert unseen.mass == pytest.approx(sum(absent) / len(sides[1]))
    assert unseen.types == len({word for row in sides[1] for word in row.words} - known) > 0


def test_sums_by_key_whatever_waits(monkeypatch):
    monkeypatch.setattr("components.drift.parts._WAITING", 5)
    random, sums, expected = np.random.default_rng(0), Sums(2), np.zeros((40, 2))
    for _ in range(30):
        keys, values = random.integers(0, 40, 7), random.random((7, 2))
        sums.add(keys, *values.T)
        np.add.at(expected, keys, values)
    np.testing.assert_allclose(sums.finished().of(np.arange(40)), expected)
    assert sums.of(np.array([99])).tolist() == [[0.0, 0.0]]
    assert Sums(1).finished().of(np.array([1])).tolist() == [[0.0]]


def peak_of(n):
    """Most bytes that Python and NumPy hold while `n` examples of the same words stream past and are judged."""
    same = list(drawn(6, 60))
    tracemalloc.start()
    examples = gather(same[i % 60] for i in range(n))
    word_shifts(examples, CONFIG)
    power_of(examples, [], CONFIG)
    set_noise(examples, word_sets(None))
    most_changed(examples, [])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_rows():
    """A row more costs some columns of eight bytes while they are looked at; as objects it was 20 kB and more."""
    first = peak_of(3000)
    assert (peak_of(6000) - first) / 3000 < 150
