"""The demo's own folder, emptied before it begins."""

from __future__ import annotations

import shutil
from pathlib import Path

from components.common.errors import InputError
from components.demo.reviews import STORY_SHORTCUT, Review, generate

_MARKER = "calig-demo"


def start_afresh(folder: Path) -> None:
    """Empty the demo's own folder; a folder that is not the demo's is left alone."""
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARKER).exists():
        raise InputError(
            "the demo empties its folder first, and this one holds something else",
            got=folder,
            next_step="name another with --folder",
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARKER).write_text("made by `calig demo`; safe to delete\n", encoding="utf-8")


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
