"""Columns of a data set: the required ones, near misses, those that cut it into segments; and what counts as an empty cell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any

from calig.labels import is_missing
from components.common.errors import InputError

__all__ = ["Row", "is_missing"]

#: The value of each column, by its name in the order of the file; a column that a row lacks is missing there.
Row = dict[str, Any]

MAX_VALUES = 20
_DECIMAL = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?|[-+]?(nan|inf)", re.IGNORECASE)
_WHOLE = re.compile(r"[-+]?\d+")


class SegmentColumns:
    """The columns of text, booleans or whole numbers with at most 20 distinct values, which alone are held.

    A column without a name is none (pandas writes its row numbers as one). A column of decimal numbers is none, not even when it
    is written as text, so that all formats agree.
    """

    def __init__(self) -> None:
        self._texts: dict[str, set[str]] = {}
        self._excluded = set(KNOWN)

    def add(self, row: Row) -> None:
        """One more row; a column with too many values, or others, is looked at no more."""
        for name, value in row.items():
            if name not in self._excluded and not self._takes(name, value):
                self._excluded.add(name)
                self._texts.pop(name, None)

    def _takes(self, name: str, value: Any) -> bool:
        """Whether the column may still be a segment with this value, which is noted."""
        if not name.strip() or not isinstance(value, (str, bool, int, type(None))):
            return False
        texts, text = self._texts.setdefault(name, set()), segment_text(value)
        if text is not None:
            texts.add(text)
        return len(texts) <= MAX_VALUES

    @property
    def possible(self) -> Collection[str]:
        """Names of the columns that may still be segments."""
        return self._texts.keys()

    def names(self) -> tuple[str, ...]:
        """The segment columns, when all rows were added, by name."""
        return tuple(sorted(name for name, texts in self._texts.items() if texts and not _are_decimals(texts)))


def segment_text(value: Any) -> str | None:
    """The value as text, None when it is missing: true and false in lower case, as JSON writes them."""
    if value is None or value == "":
        return None
    text = str(value)
    return text.lower() if text in {"True", "False"} else text


def _are_decimals(texts: set[str]) -> bool:
    return all(_DECIMAL.fullmatch(text) for text in texts) and not all(_WHOLE.fullmatch(text) for text in texts)


#: Columns with a meaning of their own.
KNOWN = ("text", "text_pair", "image", "label", "id", "rationale", "rationale_pair", "rationales")

#: Those that a data set may have beside the model's input.
_OPTIONAL = {"text": ("text_pair", "label", "id", "rationale", "rationale_pair", "rationales"), "image": ("label", "id")}

#: Similarity (difflib) from which on a name counts as misspelt: `lable` is 0.8 from `label`, `level` and `table` are 0.6.
_NEAR = 0.8

#: Shorter names than this are near to too many words: `bid` and `uid` are 0.8 from `id`.
_LEAST_LENGTH = 4

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def refuse_repeated(columns: Sequence[str], path_name: str) -> None:
    """Raise InputError when a column is there twice: one of the two would be dropped."""
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise InputError(
            f"{path_name} has several columns of the same name.",
            got=", ".join(map(repr, twice[:10])),
            next_step="rename or drop all but one",
        )


def check_columns(columns: Sequence[str], modality: str) -> None:
    """Check the names of the columns for a model of this modality, `text` or `image`.

    Raises:
        InputError: the column `text` or `image` is missing, the file is separated by something else than commas, a column has a
            near name of one with a meaning, or rationales do not fit pairs of texts.
    """
    _refuse_separator(columns, modality)
    _require(columns, modality)
    for name in _OPTIONAL[modality]:
        near = [] if name in columns else _near(name, columns)
        if near:
            raise InputError(
                f"The data set has no column {name!r}, but one with a similar name.",
                got=f"column {near[0]!r}",
                next_step=f"did you mean {name!r}? Rename the column: to {name!r}, or to something else if it is a segment",
            )
    if modality == "text":
        _check_rationales(columns)


def _check_rationales(columns: Sequence[str]) -> None:
    """Of pairs, what is marked must be known of both texts: an unmarked token counts as one that nobody holds for a reason."""
    pairs = "text_pair" in columns
    if pairs and "rationales" in columns:
        raise InputError(
            "Rationales of several annotators are not supported for pairs of texts.",
            got="columns 'text_pair' and 'rationales'",
            next_step="give one rationale per text in the columns 'rationale' and 'rationale_pair', or drop the column",
        )
    given = {name for name in ("rationale", "rationale_pair") if name in columns}
    if (pairs and len(given) == 1) or (not pairs and "rationale_pair" in given):
        raise InputError(
            "Rationales of pairs need the columns 'text_pair', 'rationale' and 'rationale_pair'.",
            got=f"column {given.pop()!r}",
            next_step="add what is missing, with [] where nothing is marked, or drop the column",
        )


def _require(columns: Sequence[str], modality: str) -> None:
    if modality in columns:
        return
    close = _near(modality, columns) or get_close_matches(modality, columns, n=1)
    advice = (
        f"did you mean {close[0]!r}? Rename it to {modality!r}."
        if close
        else f"rename the column with the {modality} to {modality!r}"
    )
    raise InputError(
        f"The data set has no column {modality!r}, which a model for {modality} needs.",
        got=f"columns {', '.join(columns)}",
        next_step=advice,
    )


def _refuse_separator(columns: Sequence[str], modality: str) -> None:
    """A file with one column, whose name holds the needed one beside another separator."""
    if len(columns) != 1:
        return
    for separator, name in _SEPARATORS.items():
        parts = [part.strip(' "') for part in columns[0].split(separator)]
        if len(parts) > 1 and modality in map(str.lower, parts):
            raise InputError(
                f"The file is separated by {name}, not by commas.",
                got=repr(columns[0]),
                next_step="save it with commas (pandas: frame.to_csv(path, index=False)), or as JSON Lines",
            )


def _near(name: str, columns: Sequence[str]) -> list[str]:
    """Columns whose names differ from `name` by case, blanks, a plural or a slip of the pen."""
    plain, name = {_plain(column): column for column in columns if column not in KNOWN}, _plain(name)
    same = [column for key, column in plain.items() if key in {name, f"{name}s", f"{name}es"}]
    slips = get_close_matches(name, plain, n=1, cutoff=_NEAR) if len(name) >= _LEAST_LENGTH else []
    return same or [plain[key] for key in slips]


def _plain(column: str) -> str:
    return re.sub(r"[\s_.-]+", "", column).lower()
