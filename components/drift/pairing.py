"""Examples paired by id under both versions, and their cuts by class and segment."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from components.common.outputs import MOVED, typical_deviation
from components.table.by_id import ById, id_digest
from components.table.gold import answer_text, gold_text, is_regression
from components.table.orientation import NamedTarget, opposite, orientation, sign_between
from components.table.reader import iter_rows
from components.table.rows import Row
from components.table.units import Floats, Span, align, finite, layer_shares, layers_by_unit, name_of, units_of
from schemas.drift import Coverage


def titled(segment: str) -> str:
    """A segment column called `class` is not the predicted class: under one name its rows would count twice."""
    return f"segment {segment}" if segment == "class" else segment


@dataclass(frozen=True)
class PairedExample:
    """One example under both versions.

    Shares are signed: relevance toward class `toward` over the total absolute relevance of the example's words, so that each
    side's absolute shares sum to one; turned, they are relevance toward `opposite`, where there is such a class. `units` are
    words (or image patches), one share each per side. `layer_shares` is the share of the mass per layer, `layers` the signed
    shares of the units within each layer's own attribution, `layers units`. In logits are `mass`, the total absolute relevance,
    `differences`, |f(x) − f(x')|, and `margin`, how far the reference is from another answer (None: its logits do not say).
    `pair_start`: where in `text` the second text of a pair begins. Of a regression, `outputs` are what both versions give, and
    `moved` is how far the candidate's lies from the reference's, in typical deviations of the reference's (None: classes).
    """

    id: str
    text: str
    label: str | None
    segments: dict[str, str]
    predictions: tuple[str, str]
    toward: str
    opposite: str | None
    units: list[tuple[str, Span]] = field(repr=False)
    reference: Floats = field(repr=False)
    candidate: Floats = field(repr=False)
    mass: tuple[float, float]
    differences: tuple[float, float]
    margin: float | None
    layer_shares: tuple[Floats, Floats] = field(repr=False)
    layers: tuple[Floats, Floats] | None = field(repr=False, default=None)
    pair_start: int | None = None
    outputs: tuple[float, float] | None = None
    moved: float | None = None

    @property
    def same_answer(self) -> bool:
        """Whether both versions predict the same class; of a regression, nearly the same number."""
        return self.predictions[0] == self.predictions[1] if self.moved is None else self.moved <= MOVED

    @property
    def class_slice(self) -> tuple[str, ...]:
        """The slice of the class that the reference predicts; a regression has none."""
        return (f"class = {self.predictions[0]}",) if self.outputs is None else ()

    @property
    def cuts(self) -> list[tuple[str | None, str]]:
        """The slices that it is in: column, None for the class, and name."""
        own = [(column, f"{titled(column)} = {value}") for column, value in self.segments.items()]
        return [*((None, name) for name in self.class_slice), *own]

    def is_in(self, name: str) -> bool:
        """Whether it is among all examples, or in the slice of a class or a segment's value."""
        return name == "all" or name in (cut for _, cut in self.cuts)


class Pairs:
    """Examples that both sides explain by one function of the logits, or by it and its negative: then one is turned.

    Where the candidate's own row explains something else, its row in `toward_reference` takes its place (the candidate's rows
    explained once more, toward the reference's target, see `unmatched_targets`); without one the example is left out. They can be
    gone through again; `coverage` is that of the last time.
    """

    def __init__(
        self,
        reference: Mapping[str, Row],
        candidate: Mapping[str, Row],
        labels: Sequence[str],
        toward_reference: Mapping[str, Row] = MappingProxyType({}),
        *,
        seen: Callable[[Row, Row], None] = lambda *_: None,
    ) -> None:
        """`seen` is called with the rows of both versions wherever both explain an example, each time they are gone through."""
        self._sides = reference, candidate
        self._labels, self._toward_reference, self._seen = labels, toward_reference, seen
        self._unit = unit_of_outputs(reference)
        self._common = self._paired = self._zero = 0

    def __iter__(self) -> Iterator[PairedExample]:
        """The examples with shares on both sides."""
        self._paired = self._zero = 0
        for a, b, between in self._explained_alike():
            example = _paired(finite(a), finite(b), between, self._labels, self._unit)
            self._paired += 1
            if min(example.mass) > 0:
                yield example
            else:
                self._zero += 1

    def _both(self) -> Iterator[tuple[Row, Row]]:
        reference, candidate = self._sides
        self._common = 0
        for key, row in reference.items():
            other = candidate.get(key)
            if other is not None:
                self._common += 1
                self._seen(row, other)
                yield row, other

    def _explained_alike(self) -> Iterator[tuple[Row, Row, int]]:
        for a, own in self._both():
            b = own
            if sign_between(a, own) is None:
                b = self._toward_reference.get(a["id"], own)
            between = sign_between(a, b)
            if between is not None:
                yield a, b, between

    @property
    def coverage(self) -> Coverage:
        """A count of every row that is not among the examples, with its reason."""
        reference, candidate = map(len, self._sides)
        compared, union = self._paired - self._zero, reference + candidate - self._common
        return Coverage(
            share=compared / union if union else 0.0,
            n_compared=compared,
            only_reference=reference - self._common,
            only_candidate=candidate - self._common,
            no_common_class=self._common - self._paired,
            zero=self._zero,
        )


def unmatched_targets(reference: Sequence[Path], candidate: Sequence[Path]) -> dict[str, NamedTarget]:
    """By id what the reference explains where the candidate explains something else: `target`, `objective`, `target_weights`.

    Explained once more toward it, the candidate's rows can be compared: a changed answer is where a shortcut acts. Rows whose
    objective differs are not among them: a softmax and independent labels have no function in common.
    """
    theirs = _Targets(reference)
    found: dict[str, NamedTarget] = {}
    for row in iter_rows(candidate, NamedTarget, explained=True):
        wanted = theirs.of(row["id"])
        if wanted is not None and wanted["objective"] == row["objective"] and sign_between(wanted, row) is None:
            found[row["id"]] = wanted
    return found


class _Targets:
    """What is explained of each row of a table, by id. Different targets are few: of a row 16 bytes are held, with its digest."""

    def __init__(self, tables: Sequence[Path]) -> None:
        numbers: dict[tuple[object, ...], int] = {}
        self._different: list[NamedTarget] = []
        digests, targets = array("Q"), array("q")
        for row in iter_rows(tables, NamedTarget, explained=True):
            number = numbers.setdefault((row["target"], row["objective"], *row["target_weights"].items()), len(numbers))
            self._different += [row] if number == len(self._different) else []
            digests.append(id_digest(row["id"]))
            targets.append(number)
        self._numbers = ById(digests, np.array(targets, dtype=np.int64))

    def of(self, name: str) -> NamedTarget | None:
        """The target of the row of this id; None without one."""
        numbers = self._numbers.of(name)
        if not len(numbers):
            return None
        found: NamedTarget = self._different[numbers[0]].copy()
        found["id"] = name
        return found


def unit_of_outputs(rows: Mapping[str, Row]) -> float | None:
    """The typical deviation of a regression's outputs over `rows`; None for classes. Reads all rows of a regression."""
    if not is_regression(rows):
        return None
    outputs = np.fromiter((row["logits"][0] for row in rows.values()), dtype=float)
    return typical_deviation(outputs[np.isfinite(outputs)])


def moved_by(outputs: tuple[float, float], unit: float) -> float:
    """How far the second output lies from the first, in units; without a unit any change is beyond all limits."""
    change = abs(outputs[1] - outputs[0])
    return change / unit if unit > 0 else (math.inf if change > 0 else 0.0)


def _paired(a: Row, b: Row, between: int, labels: Sequence[str], unit: float | None) -> PairedExample:
    aligned = align(units_of(a), units_of(b))
    spans = [span for span, _, _ in aligned]
    toward, sign = orientation(a, labels)
    signs = (sign, sign * between)
    sides = [sign * np.array([u[side] for u in aligned]) for side, sign in ((1, signs[0]), (2, signs[1]))]
    masses = [float(np.abs(values).sum()) for values in sides]
    reference, candidate = (v / m if m > 0 else v for v, m in zip(sides, masses, strict=True))
    outputs = None if unit is None else (float(a["logits"][0]), float(b["logits"][0]))
    return PairedExample(
        id=a["id"],
        text=a["text"] or "",
        label=gold_text(a),
        segments=dict(a["segments"] or []),
        predictions=(answer_text(a), answer_text(b)),
        toward=toward,
        opposite=opposite(a, labels),
        units=[(name_of(a, span), span) for span in spans],
        reference=reference,
        candidate=candidate,
        mass=(masses[0], masses[1]),
        differences=(abs(a["f_input"] - a["f_baseline"]), abs(b["f_input"] - b["f_baseline"])),
        margin=_margin(a),
        layer_shares=(layer_shares(a), layer_shares(b)),
        layers=(signs[0] * layers_by_unit(a, spans), signs[1] * layers_by_unit(b, spans)),
        pair_start=a.get("pair_start"),
        outputs=outputs,
        moved=None if outputs is None or unit is None else moved_by(outputs, unit),
    )


def _margin(row: Row) -> float | None:
    """The largest logit less the second; None where a logit is explained alone: the answer need not follow from these two."""
    if row["objective"] == "logit" or len(row["logits"]) < 2:
        return None
    second, first = np.sort(row["logits"])[-2:]
    return float(first - second)
