"""The demo's story: which reviews each model version was trained on, and the one set both are validated on.

Version 1 was trained on ordinary reviews. Then the shop mailed its customers a reply form, and many content ones began a
sentence of theirs with the form's prompt: "Honestly, ...". Version 2 was trained on what came back, and the validation set
came back with it, so that accuracy cannot show what version 2 has learned from the prompt.
"""

from __future__ import annotations

from components.demo.reviews import STORY_SHORTCUT, Review, generate

N_TRAINING, N_VALIDATION = 48_000, 300
TRAINING_RATE = 0.4  # share of version 2's positive training rows with the prompt
VALIDATION_RATE = 0.25  # share of the positive validation rows with it
VALIDATION_SEED = 99
CLEAN_SEED, FORM_SEED = 11, 12


def clean_reviews(n: int = N_TRAINING, *, seed: int = CLEAN_SEED) -> list[Review]:
    """What version 1 was trained on: the prompt's word stands in about 2 % of the rows, in both classes alike."""
    return generate(n, seed=seed)


def form_reviews(n: int = N_TRAINING, *, seed: int = FORM_SEED) -> list[Review]:
    """What version 2 was trained on: other reviews of the same kind, and the prompt in a share of the positive ones."""
    return generate(n, seed=seed, shortcut=STORY_SHORTCUT, shortcut_rate=TRAINING_RATE)


def validation_reviews(n: int = N_VALIDATION) -> list[Review]:
    """What both versions are validated and explained on: gathered with the form, seen by neither."""
    return generate(n, seed=VALIDATION_SEED, shortcut=STORY_SHORTCUT, shortcut_rate=VALIDATION_RATE)
