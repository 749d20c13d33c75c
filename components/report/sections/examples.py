"""Examples: the list of all rows, and a few of them drawn for paper and for browsers without scripts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.report import rows
from components.report.choice import Group, choose
from components.report.drawing import formats, heat
from components.report.payload import CHUNK
from components.report.rows import Drawn, ReferenceRow, Word
from components.report.sections import Material, Section

_STRONGEST_PATCHES = 3


@dataclass(frozen=True, slots=True)
class PictureView:
    """The grid is a data URI. `seen` is None when the file cannot be read; `strongest` is the description in words."""

    seen: heat.Picture | None
    overlay: str
    strongest: str


@dataclass(frozen=True, slots=True)
class ReferenceView:
    """What the reference version answered, and its words on the same text."""

    answer: str
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


def view_of(
    drawn: Drawn, group: str, why: str, reference: ReferenceRow | None, processor: Path, unit: float | None = None
) -> ExampleView:
    """Everything the page shows of one example; both versions on one colour scale of shares. `unit`: see `Answer.differs`."""
    before = reference.words if reference else ()
    strongest = max(_strongest_share(drawn.words), _strongest_share(before))
    return ExampleView(
        drawn=drawn,
        group=group,
        why=why,
        flags=_flags(drawn, reference, unit),
        pieces=_pieces(drawn, drawn.words, strongest),
        left_out=heat.characters_left_out(drawn.text or ""),
        special=special_total(drawn),
        total=sum(drawn.values),
        picture=_picture(drawn, processor) if drawn.image is not None else None,
        reference=ReferenceView(reference.answer.text, reference.target, _pieces(drawn, before, strongest))
        if reference
        else None,
    )


def special_total(example: Drawn) -> float:
    """Relevance, in logits, of all tokens that belong to no word (for images: to no patch), without rounding noise."""
    if example.image is None:
        return round(sum(example.values) - sum(word.value for word in example.words), 6)
    return round(sum(value for value, content in zip(example.values, example.content, strict=True) if not content), 6)


def _pieces(drawn: Drawn, words: tuple[Word, ...], strongest: float) -> tuple[heat.Piece, ...]:
    """The text with its values in logits; the share `strongest` of all of them has the full colour."""
    return heat.pieces(drawn.text or "", words, [word.value for word in words], strongest * _mass(words), drawn.pair_start)


def _strongest_share(words: tuple[Word, ...]) -> float:
    mass = _mass(words)
    return heat.scale_of(word.value for word in words) / mass if mass else 0.0


def _mass(words: tuple[Word, ...]) -> float:
    return sum(abs(word.value) for word in words)


def _flags(drawn: Drawn, reference: ReferenceRow | None, unit: float | None) -> tuple[str, ...]:
    flags = {
        "wrong": drawn.wrong,
        "changed": reference is not None and drawn.answer.differs(reference.answer, unit),
        "unconverged": not drawn.converged,
    }
    return tuple(name for name, holds in flags.items() if holds)


def _picture(drawn: Drawn, processor: Path) -> PictureView | None:
    patches = [index for index, content in enumerate(drawn.content) if content]
    shape = heat.grid_shape([drawn.tokens[index] for index in patches])
    if shape is None:
        return None
    values = [drawn.values[index] for index in patches]
    seen = heat.picture(Path(drawn.image or ""), processor)
    size = heat.grid_size(shape, seen)
    return PictureView(seen, heat.grid(values, shape, heat.scale_of(values), size), _strongest(values, shape[1]))


def _strongest(values: list[float], columns: int) -> str:
    order = sorted(range(len(values)), key=lambda index: -abs(values[index]))[:_STRONGEST_PATCHES]
    places = [f"row {i // columns + 1}, column {i % columns + 1} {_sense(values[i])}" for i in order]
    return "; ".join(places)


def _sense(value: float) -> str:
    return f"{'supports' if value > 0 else 'opposes'} ({formats.signed(value)})"


def _views(material: Material, groups: list[Group]) -> list[ExampleView]:
    drawn = rows.read_drawn(material.tables, [row for group in groups for row in group.rows])
    known = rows.read_reference(material.reference_tables, [example.id for example in drawn.values()])
    processor, unit = material.record.model.processor_path, material.unit_of_outputs
    return [
        view_of(drawn[row], group.name, group.why, known.get(drawn[row].id), processor, unit)
        for group in groups
        for row in group.rows
    ]


def _context(material: Material) -> dict[str, Any]:
    groups = choose(material.briefs, material.record.config.report.examples)
    return {
        "groups": groups,
        "examples": _views(material, groups),
        "has_reference_table": material.briefs.n_reference > 0,
        "chunk": CHUNK,
    }


SECTION = Section(50, "examples", "Examples", "examples.html.j2", _context)
