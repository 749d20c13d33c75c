"""One row of a data file as an Example: text or picture, label, id, segments and rationale, each checked."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.datasets.rationales import read_rationale, read_rationales
from components.datasets.readers import Row
from components.datasets.segments import segment_text
from components.errors import InputError
from schemas.release import Example

_INDEX = re.compile(r"[0-9]+(\.0+)?")


@dataclass(frozen=True, kw_only=True)
class RowReader:
    """Reads rows of one data set: `folder` is where picture paths start, `labels` are the model's classes by index."""

    folder: Path
    labels: tuple[str, ...]
    modality: Literal["text", "image"]
    segments: tuple[str, ...]

    def example(self, number: int, row: Row) -> Example:
        """Row `number` (from 0); what cannot be explained carries its `problem`.

        Raises:
            InputError: a missing id, or a rationale that is malformed or outside the text.
        """
        text = _text(row.get("text")) if self.modality == "text" else None
        image = self._image(row.get("image")) if self.modality == "image" else None
        return Example(
            row=number,
            id=_id(row, number),
            text=text,
            image=image,
            label=self._label(row.get("label")),
            segments={name: value for name in self.segments if (value := segment_text(row.get(name))) is not None},
            rationale=read_rationale(row, text, number),
            rationales=read_rationales(row, text, number),
            problem=_text_problem(row.get("text")) if self.modality == "text" else _image_problem(image),
        )

    def _image(self, value: Any) -> Path | None:
        return self.folder / str(value) if value not in (None, "") else None

    def _label(self, value: Any) -> str | None:
        """A class name as it stands, or the name an index stands for; anything else is left to be reported."""
        if value in (None, "") or (isinstance(value, float) and math.isnan(value)):
            return None
        text = str(value)
        if text in self.labels or not _INDEX.fullmatch(str(int(value)) if isinstance(value, bool) else text):
            return text
        index = int(float(value))
        return self.labels[index] if index < len(self.labels) else text


def _id(row: Row, number: int) -> str:
    if "id" not in row:
        return str(number)
    if row["id"] in (None, ""):
        raise InputError("A row has no id.", got=f"row {number}", next_step="give each row its own id, or drop the column")
    return str(row["id"])


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, (list, dict)) else str(value)


def _text_problem(value: Any) -> str | None:
    if isinstance(value, (list, dict)):
        return f"the text is a {type(value).__name__}, not a string"
    return None if _text(value).strip() else "the text is empty"


def _image_problem(image: Path | None) -> str | None:
    if image is None:
        return "the row names no image file"
    if not image.is_file():
        return f"the image file does not exist: {image.name}"
    return _picture_problem(image)


def _picture_problem(image: Path) -> str | None:
    from PIL import Image

    try:
        with Image.open(image) as picture:
            picture.verify()
    except Exception as error:  # decoders raise many kinds, SyntaxError among them
        return f"the image cannot be read: {type(error).__name__}"
    return None
