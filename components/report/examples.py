"""Prepares each drawn example for the page: its heat map or picture, its flow, its flags and what it sums to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.report import heat, numbers, pictures
from components.report.flow import Flow, flow_of, special_total
from components.report.rows import Drawn, ReferenceRow

_STRONGEST_PATCHES = 3


@dataclass(frozen=True, slots=True)
class PictureView:
    """Grids are data URIs. `seen` is None when the file cannot be read; `strongest` is the description in words."""

    seen: pictures.Picture | None
    overlay: str
    layers: tuple[str, ...]
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
    scale: float
    left_out: int
    special: float
    total: float
    flow: Flow | None
    picture: PictureView | None
    reference: ReferenceView | None


def view_of(drawn: Drawn, group: str, why: str, reference: ReferenceRow | None, processor: Path) -> ExampleView:
    """Everything the page shows of one example."""
    values = [word.value for word in drawn.words]
    text = drawn.text or ""
    scale = heat.scale_of(values)
    return ExampleView(
        drawn=drawn,
        group=group,
        why=why,
        flags=_flags(drawn, reference),
        pieces=heat.pieces(text, drawn.words, values, scale),
        scale=scale,
        left_out=heat.characters_left_out(text),
        special=special_total(drawn),
        total=sum(drawn.values),
        flow=flow_of(drawn) if drawn.words and drawn.layers else None,
        picture=_picture(drawn, processor) if drawn.image is not None else None,
        reference=_reference(text, reference) if reference else None,
    )


def _flags(drawn: Drawn, reference: ReferenceRow | None) -> tuple[str, ...]:
    flags = {
        "wrong": drawn.label is not None and drawn.label != drawn.predicted,
        "changed": reference is not None and reference.predicted != drawn.predicted,
        "unconverged": not drawn.converged,
    }
    return tuple(name for name, holds in flags.items() if holds)


def _reference(text: str, row: ReferenceRow) -> ReferenceView:
    values = [word.value for word in row.words]
    return ReferenceView(row.predicted, row.target, heat.pieces(text, row.words, values, heat.scale_of(values)))


def _picture(drawn: Drawn, processor: Path) -> PictureView | None:
    patches = [index for index, content in enumerate(drawn.content) if content]
    shape = pictures.grid_shape([drawn.tokens[index] for index in patches])
    if shape is None:
        return None
    values = [drawn.values[index] for index in patches]
    by_layer = [[layer[index] for index in patches] for layer in drawn.layers]
    layer_scale = heat.scale_of(value for layer in by_layer for value in layer)
    seen = pictures.picture(Path(drawn.image or ""), processor)
    size = pictures.grid_size(shape, seen)
    small = (size[0] // 2, size[1] // 2)
    return PictureView(
        seen,
        pictures.grid(values, shape, heat.scale_of(values), size),
        tuple(pictures.grid(layer, shape, layer_scale, small) for layer in by_layer),
        _strongest(values, shape[1]),
    )


def _strongest(values: list[float], columns: int) -> str:
    order = sorted(range(len(values)), key=lambda index: -abs(values[index]))[:_STRONGEST_PATCHES]
    places = [f"row {i // columns + 1}, column {i % columns + 1} {_sense(values[i])}" for i in order]
    return "; ".join(places)


def _sense(value: float) -> str:
    return f"{'supports' if value > 0 else 'opposes'} ({numbers.signed(value)})"
