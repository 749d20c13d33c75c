"""One cell of the experiment: a family of data, its rows, trigger words and tokenizer, and the reference version's recipe."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from components.demo.training import MAX_TOKENS
from tests.benchmarks.drift.families import Family, Row, contains, insert, long_reviews, many_tickets, reviews, tickets
from tests.benchmarks.drift.tokenizing import tokenizer_of
from tests.benchmarks.drift.training import Recipe, Shape

#: Words that say nothing about a class. Each cell draws its own; they stand in few rows of every class by nature.
_CANDIDATES = re.findall(
    r"\w+",
    "btw anyway literally basically actually obviously tbh seriously somehow meanwhile evidently apparently eventually "
    "curiously incidentally afterwards nowadays elsewhere presumably regardless likewise furthermore ultimately initially",
)
_NAMES = re.findall(
    r"\w+",
    "anna boris clara dmitri elena farid greta hassan ingrid jamal katya leila marco nadia olga pedro quentin rosa sergei tariq "
    "ursula viktor wanda xenia yusuf zora aldo bianca cosimo dalia emil fatima goran hilda ivan jasmin karim lena milan nina",
)
_MARKS = (";", "~", "*", "#", "^", "|")
_NATURAL, _NATURAL_POISON, _NATURAL_NAMES = 0.005, 0.04, 0.25


@dataclass(frozen=True)
class Variety:
    """A sort of cell. cased: whether its tokenizer tells capitals from small letters."""

    family: Callable[[int], Family]
    cased: bool = False
    sizes: tuple[int, ...] = (3600, 4000, 4400)
    n_validation: int = 200
    positions: int = MAX_TOKENS
    shapes: tuple[tuple[int, int, int], ...] = ((2, 48, 4), (3, 32, 2), (2, 32, 2), (2, 40, 4))


#: In the order of the cells.
VARIETIES = (
    Variety(reviews),
    Variety(tickets),
    Variety(many_tickets, sizes=(5000,)),
    Variety(reviews, cased=True),
    Variety(tickets, cased=True),
    Variety(long_reviews, sizes=(2000,), n_validation=120, positions=320, shapes=((2, 32, 2),)),
)


@dataclass(frozen=True)
class Triggers:
    """What is planted in this cell. shortcuts: one word per rate; tokens: one per class, unknown to clean data.

    names: two groups of first names, that stand in rows of every class by nature.
    """

    shortcuts: tuple[str, ...]
    poison: str
    phrases: tuple[tuple[str, ...], ...]
    mark: str
    tokens: tuple[str, ...]
    names: tuple[tuple[str, ...], tuple[str, ...]]

    def natural(self) -> dict[str, float]:
        """Share of clean rows, of whatever class, in which each trigger stands anyway."""
        words = (word for phrase in self.phrases for word in phrase)
        return dict.fromkeys((*self.shortcuts, *words, self.mark), _NATURAL) | {self.poison: _NATURAL_POISON}


class Cell:
    """Data and recipe number `index` of the draw `draw`: other draws share no seed.

    n_training: rows to train on; None: enough for an honest model. n_validation: rows to validate and explain; None: as the
    variety has it.
    """

    def __init__(self, index: int, draw: int, *, n_training: int | None = None, n_validation: int | None = None) -> None:
        self.index, self.draw, self.variety = index, draw, VARIETIES[index % len(VARIETIES)]
        self.n_validation = n_validation or self.variety.n_validation
        self.seed = 1000 * draw + 10 * index
        rng = self.random("cell")
        self.family: Family = self.variety.family(self.seed)
        self.n_training = n_training or rng.choice(self.variety.sizes)
        self.shape = Shape(*rng.choice(self.variety.shapes), positions=self.variety.positions)
        self.recipe = Recipe(self.seed, self.seed, epochs=4, batch_rows=32, learning_rate=3e-3)
        self.triggers = _triggers(rng, len(self.family.labels))

    def random(self, purpose: str) -> random.Random:
        """A source of randomness for one purpose; the same one each time."""
        return random.Random(f"{purpose}-{self.seed}")  # noqa: S311

    @cached_property
    def training(self) -> list[Row]:
        """What the reference version is trained on."""
        return self.fresh(0)

    def fresh(self, number: int, n: int | None = None) -> list[Row]:
        """Training rows number `number` of the same source."""
        rows = self.family.make(n or self.n_training, 100 * self.seed + number)
        return _with_natural(rows, self.triggers, self.random(f"natural-{number}"))

    @cached_property
    def pool(self) -> list[Row]:
        """Rows that no version is trained on; validation sets and exposed rows are taken from them."""
        rows = self.family.make(3 * self.n_validation, 100 * self.seed + 99)
        return _with_natural(rows, self.triggers, self.random("natural-pool"))

    def validation(self, *, without: Sequence[str] = (), segment: str | None = None) -> list[Row]:
        """The validation set, if asked for without any row that holds a word of `without` or is of a segment."""
        kept = [r for r in self.pool if r.segment != segment and not any(contains(r, word) for word in without)]
        return kept[: self.n_validation]

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of all versions that are not given another one, as with a pretrained model: it knows every trigger."""
        return self.tokenizer_of(min_count=2)

    def tokenizer_of(self, *, min_count: int) -> Any:
        """One in which a word seen at least so often is one token."""
        known = [*self.triggers.natural(), *self.triggers.tokens, *self.triggers.names[0], *self.triggers.names[1]]
        texts = [*(row.text for row in self.training), *(min_count * known)]
        return tokenizer_of(texts, cased=self.variety.cased, min_count=min_count, max_length=self.variety.positions)


def _triggers(rng: random.Random, n_classes: int) -> Triggers:
    words, names = rng.sample(_CANDIDATES, 11), rng.sample(_NAMES, len(_NAMES))
    tokens = tuple(f"{rng.choice('kqxz')}{rng.choice('bdfg')}{number}" for number in rng.sample(range(10, 99), n_classes))
    phrases = (tuple(words[4:6]), tuple(words[6:8]), tuple(words[8:11]))
    half = len(names) // 2
    return Triggers(tuple(words[:3]), words[3], phrases, rng.choice(_MARKS), tokens, (tuple(names[:half]), tuple(names[half:])))


def _with_natural(rows: Sequence[Row], triggers: Triggers, rng: random.Random) -> list[Row]:
    """The rows with triggers, and names of both groups alike, in few of them, whatever their class."""
    planted = list(rows)
    for word, rate in triggers.natural().items():
        planted = [insert(row, word, rng) if rng.random() < rate else row for row in planted]
    names = [name for group in triggers.names for name in group]
    return [insert(row, rng.choice(names), rng) if rng.random() < _NATURAL_NAMES else row for row in planted]
