"""Gold answers of a column seen row by row: one class, a list of classes for multi-label models, a number for regressions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple, Protocol

from calig.errors import InvalidInputError
from calig.labels import LabelColumn, is_missing
from components.common.errors import InputError
from components.datasets.limits import Limits
from components.datasets.readers import read_json
from schemas.release import LabelKind

_LISTED = 5


class Gold(NamedTuple):
    """What a row should be answered with; all None: not known. Fields as in `schemas.release.Example`."""

    label: str | None = None
    gold_labels: tuple[str, ...] | None = None
    gold_value: float | None = None


#: The gold answer of a row by the value of its column `label`.
Reading = Callable[[object], Gold]


class GoldColumn(Protocol):
    """The column `label`: seen row by row, then read. Held are its different labels, or what is wrong with the first few rows."""

    n_without: int
    """Rows of which it is known that they have none of several labels."""

    def add(self, number: int, value: object) -> None:
        """The value of row `number`; nothing is refused yet."""

    def reading(self) -> Reading:
        """How the values that were added are read.

        Raises:
            InputError: a label that the model does not have, a list for a model with one class per row, or no finite number.
        """


def gold_column(labels: Sequence[str], kind: LabelKind, name: str) -> GoldColumn:
    """A column of gold answers of which nothing was seen yet.

    Args:
        labels: the model's classes in logit order.
        kind: what the model needs. One class: see `calig.labels`. Several: a list of such labels per row, also written as a JSON
            list in text (`["a", "b"]`, none: `[]`), or one label alone. A number: as such or as text.
        name: the data set's, for messages.
    """
    if kind == "value":
        return _Numbers(name)
    return _Classes(labels, name) if kind == "classes" else _Class(labels, name)


class _Numbers:
    def __init__(self, name: str) -> None:
        self.n_without = 0
        self._name, self._wrong, self._n_wrong = name, list[str](), 0

    def add(self, number: int, value: object) -> None:
        if _is_empty(value) or _number(value) is not None:
            return
        self._n_wrong += 1
        if self._n_wrong <= _LISTED:
            self._wrong.append(f"row {number}: {str(value)[:40]!r}")

    def reading(self) -> Reading:
        if self._wrong:
            more = f" and {self._n_wrong - _LISTED} more" if self._n_wrong > _LISTED else ""
            raise InputError(
                f"{self._name}: the model is a regression, and there are labels that are no finite numbers",
                got=", ".join(self._wrong) + more,
                allowed="numbers, with a point for decimals; an empty cell (null) where the number is not known",
                next_step="mend the column 'label', or drop it",
            )
        return lambda value: Gold(gold_value=None if _is_empty(value) else _number(value))


def _is_empty(value: object) -> bool:
    """NaN is no empty cell here: it may be a number that somebody could not compute."""
    return value is None or (isinstance(value, str) and not value.strip())


def _number(value: object) -> float | None:
    """None for what is no finite number: true and false are none either, nor are digits grouped by underscores."""
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal, str)) or (isinstance(value, str) and "_" in value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


class _Class:
    def __init__(self, labels: Sequence[str], name: str) -> None:
        self.n_without = 0
        self._name, self._labels = name, LabelColumn(labels)
        self._list: str | None = None

    def add(self, number: int, value: object) -> None:
        if not isinstance(value, (list, tuple)):
            self._labels.add(number, value)
        elif self._list is None:
            self._list = f"row {number}: {str(value)[:80]}"

    def reading(self) -> Reading:
        if self._list is not None:
            raise InputError(
                f"{self._name}: a row has a list of labels, and the model gives one class per row",
                got=self._list,
                allowed="one class name or index per row; lists for models with problem_type multi_label_classification",
                next_step="keep one label per row, or say in the model's config.json that it has several",
            )
        read = _read(self._labels, self._name)
        return lambda value: Gold(label=read(value))


class _Classes:
    """The labels of a row in the model's order; all rows together say whether they are names or indices."""

    def __init__(self, labels: Sequence[str], name: str) -> None:
        self._names, self._name, self._labels = labels, name, LabelColumn(labels)
        self._problem: InputError | None = None
        self.n_without = 0

    def add(self, number: int, value: object) -> None:
        if self._problem is not None:
            return
        try:
            listed = _listed(value, self._names, f"{self._name}, row {number}")
        except InputError as problem:
            self._problem = problem
            return
        self.n_without += listed == []
        for label in listed or ():
            self._labels.add(number, label)

    def reading(self) -> Reading:
        if self._problem is not None:
            raise self._problem
        read = _read(self._labels, self._name)
        return lambda value: Gold(gold_labels=self._ordered(value, read))

    def _ordered(self, value: object, read: Callable[[object], str | None]) -> tuple[str, ...] | None:
        listed = _listed(value, self._names, self._name)
        named = None if listed is None else {read(label) for label in listed}
        return None if named is None else tuple(label for label in self._names if label in named)


def _read(labels: LabelColumn, name: str) -> Callable[[object], str | None]:
    try:
        return labels.reading()
    except InvalidInputError as error:
        raise InputError(f"{name}: {error}") from error


def _listed(value: object, labels: Sequence[str], where: str) -> list[Any] | None:
    """A row's labels as they are written; None where they are not known. What is a class's own name is no list."""
    if isinstance(value, (list, tuple)):
        return _checked(list(value), where)
    if is_missing(value):
        return None
    if isinstance(value, str) and value.lstrip().startswith("[") and value not in labels:
        try:
            return _checked(read_json(value, depth=Limits.depth), where)
        except ValueError as error:
            raise _no_list(where, value) from error
    return [value]


def _checked(several: list[Any], where: str) -> list[Any]:
    if any(is_missing(label) or isinstance(label, (list, dict)) for label in several):
        raise _no_list(where, several)
    return several


def _no_list(where: str, value: object) -> InputError:
    return InputError(
        f"{where}: the labels are no list of labels",
        got=str(value)[:80],
        allowed='["first", "second"], [] for a row with none of them; an empty cell (null) where they are not known',
        next_step="write the column 'label' as JSON lists",
    )
