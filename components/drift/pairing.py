"""Pair the attributions of two versions: example by example, and word by word at the same characters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from components.alignment import Span, align
from components.drift.reading import Row
from components.drift.units import Floats, finite, layer_shares, layers_by_unit, name_of, units_of
from components.explained import supported_class
from schemas.drift import Coverage


@dataclass(frozen=True)
class PairedExample:
    """One example under both versions.

    Shares are signed: relevance toward class `toward` over the total absolute relevance of the example's words, so that
    each side's absolute shares sum to one. `units` are words (or image patches), one share each per side. `layer_shares` is
    the share of the mass per layer, `layers` the signed shares of the units within each layer's own attribution, `layers units`.
    """

    id: str
    text: str
    label: str | None
    segments: dict[str, str]
    predictions: tuple[str, str]
    toward: str
    units: list[tuple[str, Span]] = field(repr=False)
    reference: Floats = field(repr=False)
    candidate: Floats = field(repr=False)
    mass: tuple[float, float]
    layer_shares: tuple[Floats, Floats] = field(repr=False)
    layers: tuple[Floats, Floats] | None = field(repr=False, default=None)

    @property
    def same_answer(self) -> bool:
        """Whether both versions predict the same class."""
        return self.predictions[0] == self.predictions[1]


@dataclass(frozen=True)
class Pairing:
    """What two versions' tables have in common: the examples that have shares on both sides, and how many there could be."""

    examples: list[PairedExample]
    coverage: Coverage


def match(reference: Mapping[str, Row], candidate: Mapping[str, Row], labels: Sequence[str]) -> Pairing:
    """All comparable examples, and a count of every row that is not among them, with its reason."""
    paired = list(pair(reference, candidate, labels))
    examples = [example for example in paired if min(example.mass) > 0]
    common = len(reference.keys() & candidate.keys())
    union = len(reference.keys() | candidate.keys())
    return Pairing(
        examples,
        Coverage(
            share=len(examples) / union if union else 0.0,
            n_compared=len(examples),
            only_reference=len(reference) - common,
            only_candidate=len(candidate) - common,
            no_common_class=common - len(paired),
            zero=len(paired) - len(examples),
        ),
    )


def pair(reference: Mapping[str, Row], candidate: Mapping[str, Row], labels: Sequence[str]) -> Iterator[PairedExample]:
    """Examples that both sides explain toward a common class.

    With two classes every example is put in terms of the second one: an attribution toward the first, or of its margin over the
    second, counts with its sign turned (the two logits of a binary classifier move against each other). With more classes an
    example whose target differs has no common class and is left out.
    """
    for key in (k for k in reference if k in candidate):
        a, b = finite(reference[key]), finite(candidate[key])
        toward = _common_class(a["target"], b["target"], labels)
        if toward is not None:
            yield _paired(a, b, toward, labels)


def _common_class(a: str, b: str, labels: Sequence[str]) -> str | None:
    if len(labels) == 2:
        return labels[1]
    return a if a == b else None


def _paired(a: Row, b: Row, toward: str, labels: Sequence[str]) -> PairedExample:
    aligned = align(units_of(a), units_of(b))
    spans = [span for span, _, _ in aligned]
    signs = [_sign(row["target"], toward, labels) for row in (a, b)]
    sides = [sign * np.array([u[side] for u in aligned]) for side, sign in ((1, signs[0]), (2, signs[1]))]
    masses = [float(np.abs(values).sum()) for values in sides]
    reference, candidate = (v / m if m > 0 else v for v, m in zip(sides, masses, strict=True))
    return PairedExample(
        id=a["id"],
        text=a["text"] or "",
        label=a["label"],
        segments=dict(a["segments"] or []),
        predictions=(a["predicted"], b["predicted"]),
        toward=toward,
        units=[(name_of(a, span), span) for span in spans],
        reference=reference,
        candidate=candidate,
        mass=(masses[0], masses[1]),
        layer_shares=(layer_shares(a), layer_shares(b)),
        layers=(signs[0] * layers_by_unit(a, spans), signs[1] * layers_by_unit(b, spans)),
    )


def _sign(target: str, toward: str, labels: Sequence[str]) -> float:
    return 1.0 if toward in {target, supported_class(target, labels)} else -1.0
