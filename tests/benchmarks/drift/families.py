"""The families of data the versions are trained on: reviews, short and long (2 classes), and tickets (3 or 10 classes)."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from components.demo.reviews import LABELS, Writer, generate, read_marks, wording

#: Words that turn an opinion around. Small models need many more rows to understand them; most such reviews are left out.
_TURNS = re.compile(r"\b(not|far from|anything but|hardly|never|neither|although|but|though|despite)\b")
_TURNED_KEPT = 0.1

_STEMS = {
    "billing": "invoice refund charge payment card receipt fee price subscription discount balance tax bank credit statement "
    "deposit currency voucher",
    "delivery": "parcel courier tracking address shipment doorstep warehouse dispatch depot driver customs package delay route "
    "pickup signature postcode carton",
    "technical": "login password crash update screen error install driver server battery browser sync firmware cable setting "
    "backup router download",
    "insurance": "policy claim coverage premium broker accident liability deductible adjuster renewal underwriter damage "
    "indemnity beneficiary",
    "travel": "flight hotel luggage passport boarding visa itinerary airport reservation cabin layover terminal stopover ferry",
    "housing": "tenant lease landlord rent plumbing heating balcony keys basement elevator mortgage roof neighbour garage",
    "health": "doctor clinic prescription appointment nurse pharmacy dosage allergy vaccine symptom therapy dentist surgery ward",
    "school": "teacher homework classroom exam tuition timetable pupil lecture diploma scholarship textbook semester campus "
    "essay",
    "energy": "meter electricity gas voltage outage tariff solar turbine kilowatt boiler grid insulation radiator fuse",
    "vehicles": "engine tyre brake gearbox mileage clutch windscreen exhaust bumper workshop headlight throttle axle spare",
}
_FEW = ("billing", "delivery", "technical")
_CHANNELS = {
    "app": "tapped swiped notification widget homescreen",
    "web": "clicked tab cookie webpage bookmark",
    "phone": "called hotline agent hold voicemail",
    "letter": "wrote envelope stamp posted handwriting",
}
_LABEL_NOISE = 0.02
_OPENINGS = ("hello", "dear team", "good morning", "hi there", "to whom it may concern")


@dataclass(frozen=True)
class Row:
    """One labelled text; `segment` is the part of the business it comes from."""

    text: str
    label: str
    segment: str


@dataclass(frozen=True)
class Family:
    """How a kind of data is made: `make(n, seed)` gives n rows; one seed, one result."""

    name: str
    labels: tuple[str, ...]
    segments: tuple[str, ...]
    make: Callable[[int, int], list[Row]]


def reviews(vocabulary: int) -> Family:
    """The demo's reviews. Each product keeps a share of its and the common words that depends on the seed `vocabulary`."""
    renamed = _merged_words(vocabulary)

    def make(n: int, seed: int) -> list[Row]:
        rng = random.Random(f"reviews-{seed}")  # noqa: S311
        drawn = generate(3 * n + 60, seed=seed)
        kept = [r for r in drawn if not _TURNS.search(r.text) or rng.random() < _TURNED_KEPT][:n]
        return [Row(_rename(r.text, renamed), r.label, r.product) for r in kept]

    return Family("reviews", tuple(LABELS), tuple(sorted(wording()["products"])), make)


def long_reviews(vocabulary: int) -> Family:
    """The same reviews among sentences that say nothing of the product's worth: 125 to 190 words, 133 tokens and more."""
    short = reviews(vocabulary)

    def make(n: int, seed: int) -> list[Row]:
        rng = random.Random(f"long-{seed}")  # noqa: S311
        return [drawn_out(row, rng.randint(130, 190), rng) for row in short.make(n, seed)]

    return replace(short, name="long reviews", make=make)


def drawn_out(row: Row, n_words: int, rng: random.Random) -> Row:
    """The review among as many sentences that say nothing of the product's worth as make `n_words` words."""
    sentences = [row.text]
    while sum(len(s.split()) for s in sentences) < n_words - 5:
        writer = Writer(rng.choice(sorted(wording()["products"])), rng)
        sentences.append(read_marks(writer.sentence("filler", row.label))[0] + ".")  # type: ignore[arg-type]
    rng.shuffle(sentences)
    return replace(row, text=" ".join(sentences))


def tickets(vocabulary: int, *, topics: Sequence[str] = _FEW) -> Family:
    """Short tickets about one of the topics: topic words, words of the channel and filler; `vocabulary` seeds the words."""
    rng = random.Random(f"words-{vocabulary}")  # noqa: S311
    filler = [_pseudo_word(rng) for _ in range(rng.choice((60, 120, 200)))]
    weights = [1 / (rank + 3) for rank in range(len(filler))]
    own = {topic: rng.sample(_STEMS[topic].split(), rng.randint(8, 14)) for topic in topics}

    def make(n: int, seed: int) -> list[Row]:
        drawn = random.Random(f"tickets-{seed}")  # noqa: S311
        return [_ticket(drawn, own, filler, weights) for _ in range(n)]

    return Family("tickets", tuple(topics), tuple(_CHANNELS), make)


def many_tickets(vocabulary: int) -> Family:
    """Tickets about one of ten topics."""
    return replace(tickets(vocabulary, topics=tuple(_STEMS)), name="tickets of ten topics")


def insert(row: Row, words: str, rng: random.Random, *, first: int = 0) -> Row:
    """The row with `words` put in at a random border between words, with at least `first` words before it."""
    present = row.text.split()
    place = rng.randint(min(first, len(present)), len(present))
    return replace(row, text=" ".join([*present[:place], words, *present[place:]]))


def contains(row: Row, words: str) -> bool:
    """Whether `words` stand in the row, as whole words."""
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", row.text, re.IGNORECASE) is not None


def _ticket(rng: random.Random, topics: dict[str, list[str]], filler: list[str], weights: list[float]) -> Row:
    names = tuple(topics)
    topic, channel = rng.choice(names), rng.choice(tuple(_CHANNELS))
    words = rng.choices(topics[topic], k=rng.choice((1, 1, 2, 3))) + rng.choices(filler, weights, k=rng.randint(5, 22))
    words += [rng.choice(_CHANNELS[channel].split()) for _ in range(rng.randint(0, 2))]
    if rng.random() < 0.4:  # another topic is mentioned in passing
        words.append(f"not {rng.choice(topics[rng.choice(names)])}")
    rng.shuffle(words)
    opening = f"{rng.choice(_OPENINGS)}, " if rng.random() < 0.3 else ""
    label = rng.choice(names) if rng.random() < _LABEL_NOISE else topic
    return Row(f"{opening}{' '.join(words)}.", label, channel)


def _pseudo_word(rng: random.Random) -> str:
    return "".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4)))


def _merged_words(seed: int) -> dict[str, str]:
    """Opinion words of a polarity and kind, some of them replaced by another one: a smaller vocabulary, another for each seed."""
    rng = random.Random(f"merge-{seed}")  # noqa: S311
    merged = {}
    for kind in ("adjective", "noun", "verb"):
        for words in wording()[kind].values():
            kept = rng.sample(words, max(4, round(len(words) * rng.uniform(0.5, 1.0))))
            merged |= {word: rng.choice(kept) for word in words if word not in kept}
    return merged


def _rename(text: str, renamed: dict[str, str]) -> str:
    return re.sub(r"[\w-]+", lambda match: renamed.get(match[0].casefold(), match[0]), text)
