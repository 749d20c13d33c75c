"""Which columns cut the data into segments, and the text that stands for their values in every format."""

from __future__ import annotations

import re
from typing import Any

from components.datasets.columns import KNOWN
from components.datasets.values import Rows

MAX_VALUES = 20
_DECIMAL = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?|[-+]?(nan|inf)", re.IGNORECASE)
_WHOLE = re.compile(r"[-+]?\d+")


def segment_columns(rows: Rows) -> tuple[str, ...]:
    """The columns of text, booleans or whole numbers with at most 20 distinct values, by name.

    A column without a name is none (pandas writes its row numbers as one). A column of decimal numbers is none, not even when it
    is written as text, so that all formats agree.
    """
    named = (name for name in rows.columns if name.strip() and name not in KNOWN)
    return tuple(sorted(name for name in named if _is_segment([row.get(name) for row in rows.values])))


def segment_text(value: Any) -> str | None:
    """The value as text, None when it is missing: true and false in lower case, as JSON writes them."""
    if value is None or value == "":
        return None
    text = str(value)
    return text.lower() if text in {"True", "False"} else text


def _is_segment(values: list[Any]) -> bool:
    if any(not isinstance(value, (str, bool, int, type(None))) for value in values):
        return False
    texts = {text for value in values if (text := segment_text(value)) is not None}
    return 0 < len(texts) <= MAX_VALUES and not _are_decimals(texts)


def _are_decimals(texts: set[str]) -> bool:
    return all(_DECIMAL.fullmatch(text) for text in texts) and not all(_WHOLE.fullmatch(text) for text in texts)
