"""One row of a data file as an Example: text or picture, label, id, segments and rationale, each checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.datasets.picture_files import PictureFile, find_picture
from components.datasets.rationales import read_rationale, read_rationales
from components.datasets.segments import segment_text
from components.datasets.values import Row, is_missing
from components.errors import InputError
from schemas.release import Example

_NO_PICTURE = PictureFile(None, None)


@dataclass(frozen=True, kw_only=True)
class RowReader:
    """Reads rows of one data set: `folder`, resolved, is where picture paths start; `has_ids`: there is a column of ids."""

    folder: Path
    modality: Literal["text", "image"]
    segments: tuple[str, ...]
    has_ids: bool

    def example(self, number: int, row: Row, label: str | None) -> Example:
        """Row `number` (from 0); what cannot be explained carries its `problem`.

        Raises:
            InputError: a missing id, or a rationale that is malformed or outside the text.
        """
        text = _text(row.get("text")) if self.modality == "text" else None
        picture = find_picture(row.get("image"), self.folder) if self.modality == "image" else _NO_PICTURE
        return Example(
            row=number,
            id=_id(row, number) if self.has_ids else str(number),
            text=text,
            image=picture.path,
            label=label,
            segments={name: value for name in self.segments if (value := segment_text(row.get(name))) is not None},
            rationale=read_rationale(row, text, number),
            rationales=read_rationales(row, text, number),
            problem=_text_problem(row.get("text")) if self.modality == "text" else picture.problem,
        )


def _id(row: Row, number: int) -> str:
    value = row.get("id")
    if is_missing(value):
        raise InputError("A row has no id.", got=f"row {number}", next_step="give each row its own id, or drop the column")
    return str(value)


def _text(value: Any) -> str:
    return "" if is_missing(value) or isinstance(value, (list, dict, bytes)) else str(value)


def _text_problem(value: Any) -> str | None:
    if isinstance(value, (list, dict, bytes)):
        return f"the text is a {type(value).__name__}, not a string"
    return None if _text(value).strip() else "the text is empty"
