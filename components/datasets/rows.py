"""One row of a data file as an Example: text, pair of texts or picture, label, id, segments and rationale, each checked.

Pictures are regular files below the data's folder, checked by opening each as the model's users would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from calig.errors import InvalidInputError
from calig.pictures import MAX_BYTES, open_picture
from components.common.errors import InputError
from components.datasets.columns import Row, is_missing, segment_text
from components.datasets.gold import Gold
from components.datasets.limits import Limits
from components.datasets.readers import read_json
from schemas.release import Example, Spans

#: Longest path that a row may name, as on Linux.
_LONGEST_PATH = 4096


class PictureFile(NamedTuple):
    """Where a row's picture is, and why it cannot be used. Without a `path` nothing outside the data's folder is ever touched."""

    path: Path | None
    problem: str | None


def find_picture(value: object, folder: Path) -> PictureFile:
    """The file that a row names, relative to `folder`, which is resolved."""
    if is_missing(value):
        return PictureFile(None, "the row names no image file")
    name = str(value)
    if "\0" in name or len(name) > _LONGEST_PATH:
        return PictureFile(None, f"the image's path cannot be used: {name[:40]!r}")
    try:
        path = folder / name
        if not path.resolve().is_relative_to(folder):
            return PictureFile(None, f"the image file lies outside the data's folder: {name[:200]}")
        return PictureFile(path, _problem(path))
    except (OSError, RuntimeError) as error:  # too long a name; a ring of links
        return PictureFile(None, f"the image's path cannot be used: {type(error).__name__}")


def _problem(path: Path) -> str | None:
    if not path.exists():
        return f"the image file does not exist: {path.name}"
    if not path.is_file():
        return f"the image is not a regular file: {path.name}"
    if path.stat().st_size > MAX_BYTES:
        return f"the image file is too large: more than {MAX_BYTES // 2**20} MiB"
    try:
        open_picture(path)
    except InvalidInputError as error:
        return ", ".join(line.removeprefix("got: ") for line in str(error).split("\n")[:2] if str(path) not in line)
    return None


_SPANS = "spans [[start, end], ...] in characters, 0 <= start < end <= length of the text"
_SEVERAL = f"one list per annotator, each of {_SPANS}; null for an annotator who did not see the row"


def read_rationale(row: Row, text: str | None, number: int, *, column: str = "rationale") -> Spans | None:
    """The column `rationale` of row `number`, or `column`; None without a value. `text` is None for a picture.

    Raises:
        InputError: malformed, outside the text, or given for a picture.
    """
    value = _value(row, column, text, number)
    return None if value is None else _checked(value, text, f"row {number}", _SPANS)


def read_rationales(row: Row, text: str | None, number: int) -> tuple[Spans, ...] | None:
    """The column `rationales`, one rationale per annotator who saw row `number`; None when nobody did.

    Raises:
        InputError: as above, or the row has a `rationale` too.
    """
    value = _value(row, "rationales", text, number)
    if value is None:
        return None
    if not is_missing(row.get("rationale")):
        raise InputError(
            "A row has both a rationale and rationales.", got=f"row {number}", next_step="keep the column of all annotators"
        )
    each = [spans for spans in _listed(value, f"row {number}", _SEVERAL) if spans is not None]
    return tuple(_checked(spans, text, f"row {number}, annotator {i}", _SEVERAL) for i, spans in enumerate(each)) or None


def _value(row: Row, column: str, text: str | None, number: int) -> Any:
    value = row.get(column)
    if is_missing(value):
        return None
    if text is None:
        raise InputError(
            "A rationale marks characters, and a picture has none.", got=f"row {number}", next_step=f"drop the column {column!r}"
        )
    return value


def _checked(value: Any, text: str | None, where: str, allowed: str) -> Spans:
    try:
        spans = tuple(_span(span) for span in _listed(value, where, allowed))
    except (TypeError, ValueError, KeyError) as error:
        raise InputError("A rationale is not a list of spans.", got=f"{where}: {value!r}", allowed=allowed) from error
    for start, end in spans:
        if not 0 <= start < end <= len(text or ""):
            got = f"{where}: [{start}, {end}) in {len(text or '')} characters"
            raise InputError("A rationale lies outside its text.", got=got, allowed=allowed)
    return spans


def _listed(value: Any, where: str, allowed: str) -> Sequence[Any]:
    """A list, or the list that a JSON string holds."""
    try:
        listed = read_json(value, depth=Limits.depth) if isinstance(value, str) else value
    except ValueError as error:
        raise InputError("A rationale is not valid JSON.", got=f"{where}: {value!r}", allowed=allowed) from error
    if not isinstance(listed, (list, tuple)):
        raise InputError("A rationale is not a list.", got=f"{where}: {value!r}", allowed=allowed)
    return listed


def _span(span: Any) -> tuple[int, int]:
    start, end = (span["start"], span["end"]) if isinstance(span, dict) else span
    if not all(isinstance(offset, int) and not isinstance(offset, bool) for offset in (start, end)):
        raise TypeError("an offset is not a whole number")
    return start, end


_NO_PICTURE = PictureFile(None, None)


@dataclass(frozen=True, kw_only=True)
class RowReader:
    """Reads rows of one data set: `folder`, resolved, is where picture paths start; `has_…`: there is a column of ids, of second
    texts.
    """

    folder: Path
    modality: Literal["text", "image"]
    segments: tuple[str, ...]
    has_ids: bool
    has_pairs: bool = False

    def example(self, number: int, row: Row, gold: Gold) -> Example:
        """Row `number` (from 0); what cannot be explained carries its `problem`.

        Raises:
            InputError: a missing id, or a rationale that is malformed or outside the text.
        """
        text = _text(row.get("text")) if self.modality == "text" else None
        pair = _text(row.get("text_pair")) if self.has_pairs else None
        picture = find_picture(row.get("image"), self.folder) if self.modality == "image" else _NO_PICTURE
        return Example(
            row=number,
            id=_id(row, number) if self.has_ids else str(number),
            text=text,
            text_pair=pair,
            image=picture.path,
            **gold._asdict(),
            segments={name: value for name in self.segments if (value := segment_text(row.get(name))) is not None},
            rationale=self._rationale(row, text, pair, number),
            rationales=read_rationales(row, text, number),
            problem=self._text_problem(row) if self.modality == "text" else picture.problem,
        )

    def _rationale(self, row: Row, text: str | None, pair: str | None, number: int) -> Spans | None:
        """What is marked in the text, of a pair in both; None where either is not known."""
        spans = read_rationale(row, text, number)
        if text is None or pair is None:
            return spans
        of_pair = read_rationale(row, pair, number, column="rationale_pair")
        start = len(text) + 1  # as in `Example.full_text`
        return None if spans is None or of_pair is None else (*spans, *((a + start, b + start) for a, b in of_pair))

    def _text_problem(self, row: Row) -> str | None:
        columns = ("text", "text_pair") if self.has_pairs else ("text",)
        return next((problem for name in columns if (problem := _text_problem(row.get(name), name))), None)


def _id(row: Row, number: int) -> str:
    value = row.get("id")
    if is_missing(value):
        raise InputError("A row has no id.", got=f"row {number}", next_step="give each row its own id, or drop the column")
    return str(value)


def _text(value: Any) -> str:
    return "" if is_missing(value) or isinstance(value, (list, dict, bytes)) else str(value)


def _text_problem(value: Any, column: str) -> str | None:
    name = "text" if column == "text" else "second text of the pair"
    if isinstance(value, (list, dict, bytes)):
        return f"the {name} is a {type(value).__name__}, not a string"
    return None if _text(value).strip() else f"the {name} is empty"
