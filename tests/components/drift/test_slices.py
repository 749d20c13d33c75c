"""Cuts of the paired examples, and the search for the one in which the reasons changed most."""

from __future__ import annotations

import numpy as np
import pytest

from components.drift.examples import gather
from components.drift.sets import WordSet
from components.drift.slices import most_changed
from tests.helpers.drift_tables import example


def test_a_segment_called_class_is_not_the_predicted_class() -> None:
    """Two columns of one name become one without a word (datafusion#24381): here every row would have counted twice."""
    examples = [example([1.0], [1.0], id=str(i), segments={"class": "POS", "site": "a"}) for i in range(12)]
    found = gather(examples)
    assert found.slices == ["all", "class = POS", "segment class = POS", "site = a"]
    assert found.members[found.column("cuts")].sum(0).tolist() == [12] * 4


NAMES = WordSet("names", {"anna", "omar"}.__contains__)


def reviews(seed, changed, n=160):
    """Examples of two sources, two classes, two lengths, half of them with a name; those of `changed` move by 0.2 more."""
    random = np.random.default_rng(seed)
    for i in range(n):
        source, answer, name, long = ("web", "app")[i % 2], ("NEG", "POS")[i // 2 % 2], i // 4 % 2, i // 8 % 2
        words = ["anna" if name else "film", "plot", *(["so", "it"] if long else [])]
        before = np.full(len(words), 1 / len(words))
        moved = 0.1 + 0.03 * random.standard_normal() + 0.2 * changed(source, answer, name, long)
        after = before + moved * np.array([1, -1, *([0, 0] if long else [])])
        changes = {"segments": {"source": source}, "predictions": (answer, answer), "toward": "POS"}
        yield example(list(before), list(after), words, id=str(i), **changes)


def test_the_slice_in_which_the_reasons_changed_is_found_by_all_its_conditions():
    some = gather(reviews(1, lambda source, answer, name, long: source == "web" and answer == "NEG" and name and long))
    found = most_changed(some, [NAMES])
    assert found.conditions == ("source = web", "class = NEG", "3 to 4 words", "with names")
    assert (found.n, found.stands_out, found.p_value) == (10, True, 0.001)
    assert found.reason_change == pytest.approx(0.3, abs=0.03)
    assert found.elsewhere == pytest.approx(0.1, abs=0.01)


def test_z_is_against_a_draw_without_replacement():
    some = list(reviews(2, lambda source, *_: source == "web"))
    found = most_changed(gather(some), [])
    changes = np.array([abs(e.candidate - e.reference).sum() / 2 for e in some])
    expected = (changes[::2].mean() - changes.mean()) / (changes.std(ddof=1) * np.sqrt((1 - 0.5) / 80))
    assert (found.conditions, found.z) == (("source = web",), pytest.approx(expected))


def test_the_search_is_counted():
    """Of 60 honest comparisons about 3 name a slice, although the best of many slices always looks odd."""
    found = [most_changed(gather(reviews(seed, lambda *_: 0)), [NAMES]) for seed in range(60)]
    assert min(one.searched for one in found) > 30
    assert np.mean([one.z for one in found]) > 1.5
    assert sum(one.stands_out for one in found) <= 3 + 3 * np.sqrt(60 * 0.05 * 0.95)


def test_without_slices_or_changes_there_is_none():
    assert most_changed(gather([example([0.5, 0.5], [0.4, 0.6], id=str(i)) for i in range(12)]), []) is None
    assert most_changed(gather(list(reviews(1, lambda *_: 0))[:8]), []) is None
