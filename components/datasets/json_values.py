"""JSON from a data file, read strictly: no key twice, no deep nesting, no half of a surrogate pair."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def read_json(text: str, *, depth: int) -> Any:
    """The value that `text` stands for.

    Raises:
        ValueError: not JSON, a key given twice, nested deeper than `depth`, or text that cannot be encoded.
    """
    try:
        value = json.loads(text, object_pairs_hook=_without_repetition)
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {depth} levels") from error
    _check_depth(value, depth)
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    return value


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's content; of a key given twice Python would keep the last value without a word."""
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} is given twice")
    return content


def _check_depth(value: Any, depth: int) -> None:
    """Level by level, so that it does not recurse itself."""
    level = [value]
    for _ in range(depth + 1):
        level = [part for parent in level for part in _parts(parent)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {depth} levels")


def _parts(value: Any) -> Iterable[Any]:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [part for part in parts if isinstance(part, (dict, list))]
