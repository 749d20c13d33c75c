"""Chooses which rows the page draws: a fixed mix of the rows most worth a look, then the data set in its order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from components.report.drawing import heat, numbers, pictures
from components.report.rows import Brief, Drawn, ReferenceRow, Word

_SHARE = 5  # each of the four special groups may take one fifth of the examples


@dataclass(frozen=True, slots=True)
class Group:
    """Rows taken for one reason; `found` counts all such rows, also those not drawn."""

    name: str
    why: str
    rows: tuple[int, ...]
    found: int


def choose(briefs: list[Brief], limit: int, changed_reasons: Iterable[str], changed_answers: Set[str]) -> list[Group]:
    """At most `limit` rows in groups, no row twice, the same for the same input.

    Args:
        briefs: all explained rows, in the order of the data set.
        limit: most rows drawn.
        changed_reasons: ids from the drift report, worst first (same answer, different reason).
        changed_answers: ids whose predicted class differs from the reference's.
    """
    by_id = {brief.id: brief for brief in briefs}
    special = [
        ("reasons changed", "same answer, but the reasons changed most", [by_id[i] for i in changed_reasons if i in by_id]),
        ("not converged", "the integral did not converge", [brief for brief in briefs if not brief.converged]),
        (
            "answer changed",
            "the reference version answered otherwise",
            [brief for brief in briefs if brief.id in changed_answers],
        ),
        ("wrong", "the prediction differs from the gold label", [brief for brief in briefs if is_wrong(brief)]),
    ]
    groups: list[Group] = []
    taken: set[int] = set()
    for name, why, candidates in special:
        groups.append(_take(name, why, candidates, min(max(1, limit // _SHARE), limit - len(taken)), taken))
    groups.append(_take("in order", "the first remaining rows of the data set", briefs, limit - len(taken), taken))
    return [group for group in groups if group.rows]


def ranked(briefs: Iterable[Brief], changed_reasons: Sequence[str], changed_answers: Set[str]) -> list[int]:
    """All rows, those most worth a look first; arguments as for `choose`. Equals stay in the order of the data set."""
    place = {key: rank for rank, key in enumerate(changed_reasons)}
    last = len(place)

    def urgency(brief: Brief) -> tuple[int, bool, bool, bool]:
        return place.get(brief.id, last), brief.converged, brief.id not in changed_answers, not is_wrong(brief)

    return [brief.row for brief in sorted(briefs, key=urgency)]


def is_wrong(brief: Brief) -> bool:
    """Whether a gold label is known and differs from the prediction."""
    return brief.label is not None and brief.label != brief.predicted


def _take(name: str, why: str, candidates: list[Brief], most: int, taken: set[int]) -> Group:
    fresh = [brief.row for brief in candidates if brief.row not in taken][:most]
    taken.update(fresh)
    return Group(name, why, tuple(fresh), len(candidates))


_STRONGEST_PATCHES = 3


@dataclass(frozen=True, slots=True)
class PictureView:
    """The grid is a data URI. `seen` is None when the file cannot be read; `strongest` is the description in words."""

    seen: pictures.Picture | None
    overlay: str
    strongest: str


@dataclass(frozen=True, slots=True)
class ReferenceView:
    """What the reference version answered, and its words on the same text."""

    predicted: str
    target: str
    pieces: tuple[heat.Piece, ...]


@dataclass(frozen=True, slots=True)
class ExampleView:
    """One example as the template draws it; texts are raw, escaping is the template's. Relevance in logits."""

    drawn: Drawn
    group: str
    why: str
    flags: tuple[str, ...]
    pieces: tuple[heat.Piece, ...]
    left_out: int
    special: float
    total: float
    picture: PictureView | None
    reference: ReferenceView | None


def view_of(drawn: Drawn, group: str, why: str, reference: ReferenceRow | None, processor: Path) -> ExampleView:
    """Everything the page shows of one example; both versions on one colour scale of shares."""
    text = drawn.text or ""
    before = reference.words if reference else ()
    strongest = max(_strongest_share(drawn.words), _strongest_share(before))
    return ExampleView(
        drawn=drawn,
        group=group,
        why=why,
        flags=_flags(drawn, reference),
        pieces=_pieces(text, drawn.words, strongest),
        left_out=heat.characters_left_out(text),
        special=special_total(drawn),
        total=sum(drawn.values),
        picture=_picture(drawn, processor) if drawn.image is not None else None,
        reference=ReferenceView(reference.predicted, reference.target, _pieces(text, before, strongest)) if reference else None,
    )


def special_total(example: Drawn) -> float:
    """Relevance, in logits, of all tokens that belong to no word (for images: to no patch), without rounding noise."""
    if example.image is None:
        return round(sum(example.values) - sum(word.value for word in example.words), 6)
    return round(sum(value for value, content in zip(example.values, example.content, strict=True) if not content), 6)


def _pieces(text: str, words: tuple[Word, ...], strongest: float) -> tuple[heat.Piece, ...]:
    """The text with its values in logits; the share `strongest` of all of them has the full colour."""
    return heat.pieces(text, words, [word.value for word in words], strongest * _mass(words))


def _strongest_share(words: tuple[Word, ...]) -> float:
    mass = _mass(words)
    return heat.scale_of(word.value for word in words) / mass if mass else 0.0


def _mass(words: tuple[Word, ...]) -> float:
    return sum(abs(word.value) for word in words)


def _flags(drawn: Drawn, reference: ReferenceRow | None) -> tuple[str, ...]:
    flags = {
        "wrong": drawn.label is not None and drawn.label != drawn.predicted,
        "changed": reference is not None and reference.predicted != drawn.predicted,
        "unconverged": not drawn.converged,
    }
    return tuple(name for name, holds in flags.items() if holds)


def _picture(drawn: Drawn, processor: Path) -> PictureView | None:
    patches = [index for index, content in enumerate(drawn.content) if content]
    shape = pictures.grid_shape([drawn.tokens[index] for index in patches])
    if shape is None:
        return None
    values = [drawn.values[index] for index in patches]
    seen = pictures.picture(Path(drawn.image or ""), processor)
    size = pictures.grid_size(shape, seen)
    return PictureView(seen, pictures.grid(values, shape, heat.scale_of(values), size), _strongest(values, shape[1]))


def _strongest(values: list[float], columns: int) -> str:
    order = sorted(range(len(values)), key=lambda index: -abs(values[index]))[:_STRONGEST_PATCHES]
    places = [f"row {i // columns + 1}, column {i % columns + 1} {_sense(values[i])}" for i in order]
    return "; ".join(places)


def _sense(value: float) -> str:
    return f"{'supports' if value > 0 else 'opposes'} ({numbers.signed(value)})"
