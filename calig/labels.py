"""Gold labels read as a whole column: class names or class indices, never both. Needs no torch.

Whether "1" is a class name or an index cannot be told from one value. So the column decides, and where it leaves two readings
it is refused.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from numbers import Integral, Real

from calig.errors import InvalidInputError

#: Written before a label, they say which reading is meant: `class:1`, `index:0`.
BY_NAME, BY_INDEX = "class:", "index:"

_WHOLE = re.compile(r"([0-9]{1,18})(\.0+)?")
_LISTED = 10

#: Different unknown labels that are counted: a column of anything else than labels may have a new one in every row.
_MOST_UNKNOWN = 10_000


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
    column = LabelColumn(names)
    for row, value in enumerate(values):
        column.add(row, value)
    read = column.reading()
    return [read(value) for value in values]


#: A value as it is told from others: whether it is a whole number, and as text. True is the index 1, the text "True" is none.
_Key = tuple[bool, str]


class LabelColumn:
    """A column of labels that is seen value by value, then read. Held are the different values alone, so that rows are not."""

    def __init__(self, names: Sequence[str]) -> None:
        """`names`: the model's class names in logit order."""
        self._names = names
        self._rows: dict[_Key, int] = {}
        self._explicit: dict[_Key, str] = {}
        self._by_name: dict[_Key, str] = {}
        self._index: dict[_Key, int] = {}
        self._unknown: Counter[str] = Counter()

    def add(self, row: int, value: object) -> None:
        """One more value, of row number `row`; nothing is refused yet."""
        if is_missing(value) or (key := _key(value)) in self._rows:
            return
        explicit, name, index = _explicit(value, self._names), _as_name(value, self._names), _as_index(value)
        if explicit is not None:
            self._explicit[key] = explicit
        if name is not None:
            self._by_name[key] = name
        if index is not None and index < len(self._names) and explicit is None:
            self._index[key] = index
        if key in self._explicit or key in self._by_name or key in self._index:
            self._rows[key] = row
        else:
            self._count_unknown(key[1][:80])

    def reading(self) -> Callable[[object], str | None]:
        """The class name of each value that was seen; raises as `read_labels` does."""
        self._refuse_unknown()
        read = self._explicit | self._one_reading()
        return lambda value: None if is_missing(value) else read[_key(value)]

    def _count_unknown(self, text: str) -> None:
        if text in self._unknown or len(self._unknown) < _MOST_UNKNOWN:
            self._unknown[text] += 1

    def _refuse_unknown(self) -> None:
        if self._unknown:
            listed = ", ".join(f"{label!r} ({count} rows)" for label, count in self._unknown.most_common(_LISTED))
            raise InvalidInputError(
                f"there are labels that the model does not have\ngot: {listed}"
                f"\nallowed: {', '.join(map(repr, self._names))}, or an index from 0 to {len(self._names) - 1}"
                "\nnext: map the labels to the model's class names"
            )

    def _one_reading(self) -> dict[_Key, str]:
        plain = [key for key in self._rows if key not in self._explicit]
        by_name, by_index = self._by_name, {key: self._names[index] for key, index in self._index.items()}
        if len(by_name) == len(plain) and (len(by_index) < len(plain) or by_name == by_index):
            return by_name
        if len(by_index) < len(plain):
            self._refuse(plain, "the labels mix class names and class indices")
        doubtful = [key for key in plain if self._is_name_of_another(key) or by_name.get(key, by_index[key]) != by_index[key]]
        if doubtful:
            self._refuse(doubtful, "the labels could be class names or class indices")
        return by_index

    def _is_name_of_another(self, key: _Key) -> bool:
        """Whether the number is an index, and also the name of a class that has another index."""
        index = self._index[key]
        return str(index) in self._names and self._names[index] != str(index)

    def _refuse(self, keys: Sequence[_Key], problem: str) -> None:
        """Name the first row of each value."""
        first: dict[str, _Key] = {}
        for key in keys:
            first.setdefault(key[1], key)
        described = [self._described(key) for key in list(first.values())[:_LISTED]]
        raise InvalidInputError(
            f"{problem}\ngot: {'; '.join(described)}\nallowed: class names in every row, or indices in every row"
            f"\nnext: write each label as {BY_NAME}NAME or {BY_INDEX}NUMBER, which leaves no doubt"
        )

    def _described(self, key: _Key) -> str:
        readings = [
            f"the class {self._by_name[key]!r}" if key in self._by_name else "",
            f"the index of {self._names[self._index[key]]!r}" if key in self._index else "",
        ]
        return f"row {self._rows[key]}: {key[1]!r} is {' or '.join(reading for reading in readings if reading)}"


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: None, an empty text, or NaN, which data frames write for None."""
    if value is None or isinstance(value, str):  # asked first, since it is asked of every cell
        return not value
    return isinstance(value, Real) and not isinstance(value, Integral) and math.isnan(value)


def _key(value: object) -> _Key:
    return not isinstance(value, str) and isinstance(value, Integral), _text(value)


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
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Integral) and abs(int(value)) >= 10**18:
        return "a whole number of more than 18 digits"  # Python refuses to write very long ones
    return str(float(value)) if isinstance(value, Real) and not isinstance(value, Integral) else str(value)
