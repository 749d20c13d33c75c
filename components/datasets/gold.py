"""Gold answers read as a whole column: one class per row, a list of classes for multi-label models, a number for regressions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

from calig.errors import InvalidInputError
from calig.labels import is_missing, read_labels
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


def read_gold(values: Sequence[object], labels: Sequence[str], kind: LabelKind, name: str) -> list[Gold]:
    """The gold answer of every row; `name` is the data set's, for messages.

    Args:
        values: the column `label`. One class: see `calig.labels`. Several: a list of such labels per row, also written as a JSON
            list in text (`["a", "b"]`, none: `[]`), or one label alone. A number: as such or as text.
        labels: the model's classes in logit order.
        kind: what the model needs.

    Raises:
        InputError: a label that the model does not have, a list for a model with one class per row, or no finite number.
    """
    if kind == "value":
        return [Gold(gold_value=number) for number in _numbers(values, name)]
    try:
        if kind == "classes":
            return [Gold(gold_labels=several) for several in _sets(values, labels, name)]
        _refuse_lists(values, name)
        return [Gold(label=label) for label in read_labels(values, labels)]
    except InvalidInputError as error:
        raise InputError(f"{name}: {error}") from error


def _numbers(values: Sequence[object], name: str) -> list[float | None]:
    read = [None if _is_empty(value) else _number(value) for value in values]
    wrong = [row for row, (value, number) in enumerate(zip(values, read, strict=True)) if number is None and not _is_empty(value)]
    if wrong:
        listed = ", ".join(f"row {row}: {str(values[row])[:40]!r}" for row in wrong[:_LISTED])
        more = f" and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise InputError(
            f"{name}: the model is a regression, and there are labels that are no finite numbers",
            got=listed + more,
            allowed="numbers, with a point for decimals; an empty cell (null) where the number is not known",
            next_step="mend the column 'label', or drop it",
        )
    return read


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


def _sets(values: Sequence[object], labels: Sequence[str], name: str) -> list[tuple[str, ...] | None]:
    """The labels of every row in the model's order; the whole column is read at once, so that it is names or indices."""
    lists = [_listed(value, labels, f"{name}, row {row}") for row, value in enumerate(values)]
    flat = iter(read_labels([label for some in lists for label in some or ()], labels))
    named = [None if some is None else [next(flat) for _ in some] for some in lists]
    return [None if some is None else tuple(label for label in labels if label in some) for some in named]


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


def _refuse_lists(values: Sequence[object], name: str) -> None:
    listed = next((row for row, value in enumerate(values) if isinstance(value, (list, tuple))), None)
    if listed is not None:
        raise InputError(
            f"{name}: a row has a list of labels, and the model gives one class per row",
            got=f"row {listed}: {str(values[listed])[:80]}",
            allowed="one class name or index per row; lists for models with problem_type multi_label_classification",
            next_step="keep one label per row, or say in the model's config.json that it has several",
        )
