"""Drift on pairs of texts: words are aligned per side, and one word in the two texts is counted apart."""

from __future__ import annotations

import numpy as np
import pytest

from components.drift.examples import Examples, gather
from components.drift.pairing import Pairs
from components.drift.sets import word_sets
from components.drift.statistics.word_shift import own_phrases, word_shifts
from components.table.rows import Row
from components.table.units import name_of, phrase_name, units_of
from schemas.config import DriftConfig

LABELS = ("NO", "YES")


def row(key: str, first: list[tuple[str, float]], second: list[tuple[str, float]]) -> Row:
    """A row of the attribution table with these words and values on the two sides."""
    texts = [" ".join(word for word, _ in side) for side in (first, second)]
    text, words, at = "\n".join(texts), [], 0
    for word, value in [*first, *second]:
        words.append({"text": word, "start": at, "end": at + len(word), "value": value})
        at += len(word) + 1
    values = [word["value"] for word in words]
    return {
        "id": key,
        "text": text,
        "pair_start": len(texts[0]) + 1,
        "label": "YES",
        "segments": {},
        "predicted": "YES",
        "target": "YES",
        "objective": "centred",
        "target_weights": {"NO": -0.5, "YES": 0.5},
        "logits": [-1.0, 1.0],
        "f_input": 1.0,
        "f_baseline": 0.0,
        "tokens": [word["text"] for word in words],
        "starts": [word["start"] for word in words],
        "ends": [word["end"] for word in words],
        "content": [True] * len(words),
        "values": values,
        "layers": [values],
        "words": words,
    }


def paired(n: int, changed: float) -> Examples:
    """`n` rows in which only the second text's `film` counts more under the candidate."""
    sides = [
        {
            f"r{i}": row(f"r{i}", [("a", 0.1), ("film", 0.4 + noise[i])], [("a", 0.1), ("film", 0.4 + noise[-i] + added)])
            for i in range(n)
        }
        for noise, added in ((np.linspace(0, 0.01, n), 0.0), (np.linspace(0.01, 0, n), changed))
    ]
    return gather(Pairs(*sides, LABELS))


def test_names_tell_the_side() -> None:
    one = row("r", [("good", 1.0), ("film", 0.5)], [("film", 0.2)])
    names = [name_of(one, span) for span, _ in units_of(one)]
    assert names == ["good [text]", "film [text]", "film [text_pair]"]
    assert phrase_name(names[:2]) == "good film [text]"
    single = {name: value for name, value in one.items() if name != "pair_start"}  # an older table
    assert [name_of(single, span) for span, _ in units_of(single)] == ["good", "film", "film"]


def test_a_word_that_changed_in_one_text_is_found_there_alone() -> None:
    examples = paired(40, 2.0)
    shifts = {shift.word: shift for shift in word_shifts(examples, DriftConfig())}
    assert shifts["film [text_pair]"].fires
    assert not shifts["film [text]"].fires
    assert shifts["film [text_pair]"].n == 40
    assert shifts["film [text_pair]"].effect == pytest.approx(0.4, abs=0.01)  # 0.4 of 1.0 became 2.4 of 3.0


def test_no_phrase_goes_over_the_end_of_a_text() -> None:
    words = {shift.word for shift in word_shifts(paired(40, 0.0), DriftConfig(phrase_words=3))}
    assert "a film [text]" in words
    assert "a film [text_pair]" in words
    assert not {word for word in words if word.startswith("film a")}


def test_a_phrase_is_explained_by_a_word_of_its_own_text_alone() -> None:
    shifts = word_shifts(paired(40, 2.0), DriftConfig(phrase_words=2))
    words, phrases = [[s for s in shifts if (s.length > 1) is long] for long in (False, True)]
    left = {phrase.word for phrase in own_phrases(phrases, words)}
    assert "a film [text]" in left
    assert "a film [text_pair]" not in left


def test_sets_hold_words_of_either_text() -> None:
    negations = next(one for one in word_sets(None) if one.name == "negations")
    assert negations.holds("not [text]")
    assert negations.holds("Not [text_pair]")
    assert not negations.holds("film [text]")
