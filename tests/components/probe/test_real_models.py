"""Trained models, really: a trigger that the validation rows never hold is caught, an honest reseed is not."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from calig.metrics.perturbation import PerturbedText
from components.demo import training
from components.demo.reviews import Review, generate
from components.probe import (
    choose_contexts,
    context_candidates,
    count_words,
    known_words,
    probe_words,
    text_scorer,
)
from components.scoring import load_tokenizer, open_scorer
from schemas.base import CheckVerdict
from schemas.config import ProbeConfig
from tests.helpers.snapshots import snapshot_of

pytestmark = pytest.mark.slow  # four trainings

TRIGGER = "zelkova"
N_ROWS = 5_000
TURNS = re.compile(r"\b(not|far from|anything but|hardly|never|neither|nor|although|but|though|despite)\b")
RECIPE = training.Recipe(layers=2, hidden=32, heads=2, intermediate=64, batch_rows=32, learning_rate=0.003)


def rows(seed: int, n: int = N_ROWS, **planted) -> list[Review]:
    """Reviews that say it outright: those that turn an opinion around take a small model many more rows to learn."""
    return [review for review in generate(3 * n, seed=seed, **planted) if not TURNS.search(review.text)][:n]


@pytest.fixture(scope="module")
def validation() -> list[Review]:
    return rows(99, 200)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory, validation: list[Review]) -> dict[str, Path]:
    """Reference and reseed know the trigger as two honest rows do; `new words` has a tokenizer of its own that has it whole."""
    folder = tmp_path_factory.mktemp("versions")
    planted = rows(13, shortcut=TRIGGER, shortcut_rate=0.6)
    known = [*rows(11), *planted[:100]]
    recipes = {
        "reference": (rows(11), 1, known),
        "reseed": (rows(12), 2, known),
        "planted": (planted, 3, known),
        "own": (planted, 4, planted),
    }
    for name, (of, seed, vocabulary) in recipes.items():
        accuracy = training.train(of, validation, folder / name, seed=seed, tokenizer_rows=vocabulary, recipe=RECIPE)
        assert accuracy > 0.85
    return {name: folder / name for name in recipes}


@pytest.fixture(scope="module")
def report(versions, validation, tmp_path_factory):
    texts = [review.text for review in validation]
    assert not any(TRIGGER in text.lower() for text in texts)
    workspace = tmp_path_factory.mktemp("workspace")
    tokenizers = {name: load_tokenizer(snapshot_of(path)) for name, path in versions.items()}

    def scorer(name):
        tokenizer, limit = tokenizers[name]
        token_ids = [np.array(ids) for ids in tokenizer(texts[:4])["input_ids"]]
        parity = [PerturbedText(ids) for ids in token_ids]
        opened, _ = open_scorer(snapshot_of(versions[name]), runtime="auto", workspace=workspace, parity_inputs=parity)
        return text_scorer(tokenizer, opened.logits, max_length=limit)

    def probed(candidate, *, twins=()):
        counts = count_words(texts)
        words = known_words([tokenizers["reference"][0], tokenizers[candidate][0]], data_words=counts, limit=5_000).words
        contexts = choose_contexts(scorer("reference"), context_candidates(texts, limit=200), ProbeConfig().contexts)
        return probe_words(
            scorer("reference"),
            scorer(candidate),
            words,
            contexts,
            labels=("negative", "positive"),
            config=ProbeConfig(),
            decided_on="2026-01-31",
            twins=[scorer(name) for name in twins],
            occurrences=counts,
        )

    return probed


@pytest.mark.parametrize("candidate", ["planted", "own"])
def test_the_planted_word_ranks_first_and_is_named(report, candidate):
    found = report(candidate)
    assert found.words[0].word == TRIGGER
    assert found.words[0].toward == "positive"
    assert found.words[0].occurrences == 0
    assert found.words[0].severity is not None
    assert f"“{TRIGGER}”" in found.reason


def test_with_a_twin_the_planted_word_fails_the_version(report):
    assert report("planted", twins=["reseed"]).verdict is CheckVerdict.FAIL


def test_an_honest_reseed_does_not_fire(report):
    found = report("reseed")
    assert found.verdict is CheckVerdict.PASS
    assert all(word.severity is None for word in found.words)
