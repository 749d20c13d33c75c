"""Gold labels read as a whole column: class names or class indices, never both. Needs no torch.

Whether "1" is a class name or an index cannot be told from one value. So the column decides, and where it leaves two readings
it is refused.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from numbers import Integral, Real

from calig.errors import InvalidInputError

#: Written before a label, they say which reading is meant: `class:1`, `index:0`.
BY_NAME, BY_INDEX = "class:", "index:"

_WHOLE = re.compile(r"([0-9]{1,18})(\.0+)?")
_LISTED = 10


def check_class_names(names: Sequence[str]) -> None:
    """Raise InvalidInputError when two classes have one name: labels and targets by name would mean either."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InvalidInputError(
            f"several classes of the model have the same name\ngot: {', '.join(map(repr, twice[:_LISTED]))}"
            "\nnext: give each class its own name in id2label of the model's config.json"
        )


def read_labels(values: Sequence[object], names: Sequence[str]) -> list[str | None]:
    """The class name of every value; None for a missing one (None, "", NaN).

    Args:
        values: a column of labels: all class names, or all indices (whole numbers, also written as text, as 1.0 or as
            booleans). A text `class:NAME` or `index:NUMBER` says itself which it is.
        names: the model's class names in logit order.

    Raises:
        InvalidInputError: unknown labels, names mixed with indices, or values that could be either.
    """
    given = {row: value for row, value in enumerate(values) if not is_missing(value)}
    explicit = {row: name for row, value in given.items() if (name := _explicit(value, names)) is not None}
    plain = {row: value for row, value in given.items() if row not in explicit}
    by_name = {row: name for row, value in plain.items() if (name := _as_name(value, names)) is not None}
    by_index = {
        row: names[index] for row, value in plain.items() if (index := _as_index(value)) is not None and index < len(names)
    }
    _refuse_unknown(plain, {**by_name, **by_index}, names)
    read = {**explicit, **_one_reading(plain, by_name, by_index, names)}
    return [read.get(row) for row in range(len(values))]


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: None, an empty text, or NaN, which data frames write for None."""
    if isinstance(value, Real):
        return not isinstance(value, Integral) and math.isnan(value)
    return value is None or (isinstance(value, str) and not value)


def _one_reading(
    plain: Mapping[int, object], by_name: Mapping[int, str], by_index: Mapping[int, str], names: Sequence[str]
) -> Mapping[int, str]:
    if len(by_name) == len(plain) and (len(by_index) < len(plain) or by_name == by_index):
        return by_name
    if len(by_index) < len(plain):
        _refuse(plain, by_name, by_index, "the labels mix class names and class indices")
    doubtful = {
        row: value
        for row, value in plain.items()
        if _is_name_of_another(value, names) or by_name.get(row, by_index[row]) != by_index[row]
    }
    if doubtful:
        _refuse(doubtful, by_name, by_index, "the labels could be class names or class indices")
    return by_index


def _is_name_of_another(value: object, names: Sequence[str]) -> bool:
    """Whether the number is an index, and also the name of a class that has another index."""
    index = _as_index(value)
    return index is not None and str(index) in names and names[index] != str(index)


def _explicit(value: object, names: Sequence[str]) -> str | None:
    if not isinstance(value, str) or value in names:
        return None
    if value.startswith(BY_NAME):
        name = value.removeprefix(BY_NAME)
        return name if name in names else None
    index = _as_index(value.removeprefix(BY_INDEX)) if value.startswith(BY_INDEX) else None
    return names[index] if index is not None and index < len(names) else None


def _as_name(value: object, names: Sequence[str]) -> str | None:
    text = _text(value)
    return text if text in names else None


def _as_index(value: object) -> int | None:
    if isinstance(value, Integral):  # booleans too
        return int(value) if 0 <= int(value) < 10**18 else None
    found = _WHOLE.fullmatch(_text(value))
    return int(found[1]) if found else None


def _text(value: object) -> str:
    if isinstance(value, Integral) and abs(int(value)) >= 10**18:
        return "a whole number of more than 18 digits"  # Python refuses to write very long ones
    return str(float(value)) if isinstance(value, Real) and not isinstance(value, Integral) else str(value)


def _refuse_unknown(plain: Mapping[int, object], known: Mapping[int, str], names: Sequence[str]) -> None:
    unknown = Counter(_text(value)[:80] for row, value in plain.items() if row not in known)
    if unknown:
        listed = ", ".join(f"{label!r} ({count} rows)" for label, count in unknown.most_common(_LISTED))
        raise InvalidInputError(
            f"there are labels that the model does not have\ngot: {listed}"
            f"\nallowed: {', '.join(map(repr, names))}, or an index from 0 to {len(names) - 1}"
            "\nnext: map the labels to the model's class names"
        )


def _refuse(rows: Mapping[int, object], by_name: Mapping[int, str], by_index: Mapping[int, str], problem: str) -> None:
    """Name the first row of each value."""
    first: dict[str, int] = {}
    for row, value in rows.items():
        first.setdefault(_text(value), row)
    described = [_described(row, text, by_name, by_index) for text, row in list(first.items())[:_LISTED]]
    raise InvalidInputError(
        f"{problem}\ngot: {'; '.join(described)}\nallowed: class names in every row, or indices in every row"
        f"\nnext: write each label as {BY_NAME}NAME or {BY_INDEX}NUMBER, which leaves no doubt"
    )


def _described(row: int, text: str, by_name: Mapping[int, str], by_index: Mapping[int, str]) -> str:
    readings = [
        f"the class {by_name[row]!r}" if row in by_name else "",
        f"the index of {by_index[row]!r}" if row in by_index else "",
    ]
    return f"row {row}: {text!r} is {' or '.join(reading for reading in readings if reading)}"
