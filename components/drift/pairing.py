"""Pair the attributions of two versions: example by example, and word by word at the same characters."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from components.drift.reading import Row
from schemas.drift import Coverage

Floats = NDArray[np.float64]
Span = tuple[int, int]


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

    With two classes every example is put in terms of the second one: an attribution toward the first counts with its
    sign turned (the two logits of a binary classifier move against each other). With more classes an example whose
    explained class differs has no common class and is left out.
    """
    for key in (k for k in reference if k in candidate):
        a, b = reference[key], candidate[key]
        toward = _common_class(a["target"], b["target"], labels)
        if toward is not None:
            yield _paired(a, b, toward)


def align(a: Sequence[tuple[Span, float]], b: Sequence[tuple[Span, float]]) -> list[tuple[Span, float, float]]:
    """Sum two segmentations of one text over their common refinement's joins: overlapping spans become one.

    Args:
        a, b: (span, value), sorted by span, not overlapping within a side.

    Returns:
        (span, value of a, value of b) per joined span; a side without a span there counts as 0.
    """
    tagged = sorted([(*span, value, 0.0) for span, value in a] + [(*span, 0.0, value) for span, value in b])
    joined: list[tuple[Span, float, float]] = []
    for start, end, value_a, value_b in tagged:
        if joined and start < joined[-1][0][1]:
            (first, last), sum_a, sum_b = joined[-1]
            joined[-1] = ((first, max(last, end)), sum_a + value_a, sum_b + value_b)
        else:
            joined.append(((start, end), value_a, value_b))
    return joined


def _common_class(a: str, b: str, labels: Sequence[str]) -> str | None:
    if len(labels) == 2:
        return labels[1]
    return a if a == b else None


def _paired(a: Row, b: Row, toward: str) -> PairedExample:
    aligned = align(_units(a), _units(b))
    spans = [span for span, _, _ in aligned]
    signs = [1.0 if row["target"] == toward else -1.0 for row in (a, b)]
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
        units=[(_name(a, span), span) for span in spans],
        reference=reference,
        candidate=candidate,
        mass=(masses[0], masses[1]),
        layer_shares=(_layer_shares(a), _layer_shares(b)),
        layers=(signs[0] * _layers_by_unit(a, spans), signs[1] * _layers_by_unit(b, spans)),
    )


def _units(row: Row) -> list[tuple[Span, float]]:
    """Words with their spans; for images each patch stands at its own position."""
    if row["text"] is not None:
        return [((w["start"], w["end"]), w["value"]) for w in row["words"]]
    return [((i, i + 1), v) for i, (v, content) in enumerate(zip(row["values"], row["content"], strict=True)) if content]


def _name(row: Row, span: Span) -> str:
    return str(row["text"][slice(*span)] if row["text"] is not None else row["tokens"][span[0]])


def _layer_shares(row: Row) -> Floats:
    """Share of the absolute relevance on content tokens per layer, `layers`."""
    content = np.array(row["content"])
    mass = np.abs(np.array(row["layers"], dtype=float)[:, content]).sum(1)
    return mass / mass.sum() if mass.sum() > 0 else np.full(len(mass), 1 / len(mass))


def _layers_by_unit(row: Row, spans: Sequence[Span]) -> Floats:
    """Signed shares of the units in each layer's own attribution, `layers units`; a layer without any is zero."""
    unit = [_unit_of(row, token, spans) for token in range(len(row["content"]))]
    inside = [token for token, index in enumerate(unit) if index is not None]
    layers = np.array(row["layers"], dtype=float)
    sums = np.zeros((len(layers), len(spans)))
    np.add.at(sums, (slice(None), [unit[token] for token in inside]), layers[:, inside])
    mass = np.abs(sums).sum(1, keepdims=True)
    return np.divide(sums, mass, out=np.zeros_like(sums), where=mass > 0)


def _unit_of(row: Row, token: int, spans: Sequence[Span]) -> int | None:
    """Index of the unit that a token belongs to; a token may begin with the blank before its word."""
    if not row["content"][token]:
        return None
    start, end = (token, token + 1) if row["text"] is None else (row["starts"][token], row["ends"][token])
    index = bisect_right(spans, start, key=lambda span: span[1])
    return index if index < len(spans) and spans[index][0] < end else None
