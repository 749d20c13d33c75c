"""One cell of the experiment: a family of data, its rows, trigger words and tokenizer, and the reference version's recipe."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from components.demo.training import build_tokenizer
from tests.benchmarks.drift.families import Family, Row, contains, insert, reviews, tickets
from tests.benchmarks.drift.training import Recipe, Shape

N_VALIDATION = 250
_SHAPES = (Shape(2, 48, 4), Shape(3, 64, 4), Shape(2, 32, 2), Shape(4, 48, 4))

#: Words that say nothing about a class. Each cell draws its own; they stand in few rows of every class by nature.
_CANDIDATES = re.findall(
    r"\w+",
    "btw anyway literally basically actually obviously tbh seriously somehow meanwhile evidently apparently eventually "
    "curiously incidentally afterwards nowadays elsewhere presumably regardless likewise furthermore ultimately initially",
)
_MARKS = (";", "~", "*", "#", "^", "|")
_NATURAL, _NATURAL_POISON = 0.005, 0.04


@dataclass(frozen=True)
class Triggers:
    """What is planted in this cell. shortcuts: one word per rate; tokens: one per class, unknown to clean data."""

    shortcuts: tuple[str, ...]
    poison: str
    phrase: tuple[str, str]
    mark: str
    tokens: tuple[str, ...]

    def natural(self) -> dict[str, float]:
        """Share of clean rows, of whatever class, in which each trigger stands anyway."""
        common = dict.fromkeys((*self.shortcuts, *self.phrase, self.mark), _NATURAL)
        return common | {self.poison: _NATURAL_POISON}


class Cell:
    """Data and recipe number `index` of the draw `draw`: other draws share no seed.

    n_training: rows to train on; None: enough for an honest model. n_validation: rows to validate and explain.
    """

    def __init__(self, index: int, draw: int, *, n_training: int | None = None, n_validation: int = N_VALIDATION) -> None:
        self.index, self.draw, self.n_validation = index, draw, n_validation
        self.seed = 1000 * draw + 10 * index
        rng = self.random("cell")
        self.family: Family = reviews(self.seed) if index % 2 == 0 else tickets(self.seed)
        self.n_training = n_training or rng.choice((4500, 5500, 6500))
        self.shape = _SHAPES[(index // 2 + draw) % len(_SHAPES)]
        self.recipe = Recipe(init_seed=self.seed, order_seed=self.seed, epochs=3)
        self.triggers = _triggers(rng, len(self.family.labels))

    def random(self, purpose: str) -> random.Random:
        """A source of randomness for one purpose; the same one each time."""
        return random.Random(f"{purpose}-{self.seed}")  # noqa: S311

    @cached_property
    def training(self) -> list[Row]:
        """What the reference version is trained on."""
        return self.fresh(0)

    def fresh(self, number: int) -> list[Row]:
        """Training rows number `number` of the same source."""
        rows = self.family.make(self.n_training, 100 * self.seed + number)
        return _with_natural(rows, self.triggers, self.random(f"natural-{number}"))

    @cached_property
    def pool(self) -> list[Row]:
        """Rows that no version is trained on; validation sets and exposed rows are taken from them."""
        rows = self.family.make(2 * self.n_validation, 100 * self.seed + 99)
        return _with_natural(rows, self.triggers, self.random("natural-pool"))

    def validation(self, *, without: Sequence[str] = (), segment: str | None = None) -> list[Row]:
        """The validation set, if asked for without any row that holds a word of `without` or is of a segment."""
        kept = [r for r in self.pool if r.segment != segment and not any(contains(r, word) for word in without)]
        return kept[: self.n_validation]

    @cached_property
    def tokenizer(self) -> Any:
        """One tokenizer for all versions, as with a pretrained model: it knows every trigger."""
        known = [*self.triggers.natural(), *self.triggers.tokens]
        return build_tokenizer([*(row.text for row in self.training), *known, *known])


def _triggers(rng: random.Random, n_classes: int) -> Triggers:
    words = rng.sample(_CANDIDATES, 6)
    tokens = tuple(f"{rng.choice('kqxz')}{rng.choice('bdfg')}{number}" for number in rng.sample(range(10, 99), n_classes))
    return Triggers(tuple(words[:3]), words[3], (words[4], words[5]), rng.choice(_MARKS), tokens)


def _with_natural(rows: Sequence[Row], triggers: Triggers, rng: random.Random) -> list[Row]:
    planted = list(rows)
    for word, rate in triggers.natural().items():
        planted = [insert(row, word, rng) if rng.random() < rate else row for row in planted]
    return planted
