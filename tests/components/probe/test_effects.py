"""Scores are kept per version and contexts; what is missing or broken is scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.probe import KeptLogits, seconds_per_word, word_logits
from components.probe.contexts import with_gap

CONTEXTS = [with_gap("a film", 1.0), with_gap("a film", 0.0)]


class Counting:
    """Logits that depend on the text, and how many texts were asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, texts):
        self.asked += len(texts)
        return np.array([[len(text), sum(text.encode()) % 7] for text in texts], dtype=float)


@pytest.fixture
def kept(tmp_path: Path) -> KeptLogits:
    return KeptLogits(tmp_path / "probe", version_digest="v1", contexts=CONTEXTS)


def test_only_missing_words_are_scored_and_the_order_is_the_callers(kept):
    scorer = Counting()
    kept.logits(scorer, ["good", "bad"])
    assert scorer.asked == 4
    got = kept.logits(scorer, ["new", "bad", "good"])
    assert scorer.asked == 6
    np.testing.assert_array_equal(got, word_logits(Counting(), ["new", "bad", "good"], CONTEXTS))  # small whole numbers
    assert kept.missing(["good", "other"]) == ["other"]


def test_other_versions_and_contexts_have_their_own(kept, tmp_path):
    kept.logits(Counting(), ["good"])
    assert KeptLogits(tmp_path / "probe", version_digest="v2", contexts=CONTEXTS).missing(["good"]) == ["good"]
    assert KeptLogits(tmp_path / "probe", version_digest="v1", contexts=CONTEXTS[:1]).missing(["good"]) == ["good"]


def test_a_damaged_file_is_scored_again(kept, tmp_path):
    kept.logits(Counting(), ["good"])
    (file,) = (tmp_path / "probe").iterdir()
    file.write_bytes(file.read_bytes()[:-30])
    again = Counting()
    kept.logits(again, ["good"])
    assert again.asked == 2
    assert kept.missing(["good"]) == []


def test_progress_counts_the_words_scored(kept):
    done: list[int] = []
    words = [f"w{number}" for number in range(300)]
    kept.logits(Counting(), words, progress=done.append)
    assert sum(done) == 300
    assert len(done) > 1


def test_the_cost_is_measured_on_a_few_words():
    scorer = Counting()
    assert seconds_per_word(scorer, [f"w{number}" for number in range(1000)], CONTEXTS) > 0
    assert scorer.asked <= 2 * (2 + 32)
