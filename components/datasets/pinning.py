"""Reference that pins the rows of a data set: their digest, which does not depend on the file's format, and what they have."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from calig.pictures import MAX_BYTES
from components.common.errors import InputError
from components.common.file_digests import file_digest
from components.table.by_id import id_digest, repeated
from schemas.release import Example

_LATER = ("text_pair", "rationales", "gold_labels", "gold_value")

_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


class Pinning:
    """What is noted of rows while they pass: eight bytes of each one's id, and sums."""

    def __init__(self, folder: Path) -> None:
        """`folder`: the data set's, resolved; digests name pictures relative to it."""
        self.has_labels = self.has_rationales = self.has_pairs = False
        self._folder, self._digest, self._ids = folder, hashlib.sha256(), array("Q")

    def noted(self, examples: Iterable[Example]) -> Iterator[Example]:
        """The examples as they are."""
        for example in examples:
            self._digest.update(_canonical(example, self._folder))
            self._ids.append(id_digest(example.id))
            self.has_labels |= example.has_gold
            self.has_rationales |= example.rationale is not None or example.rationales is not None
            self.has_pairs |= example.text_pair is not None
            yield example

    @property
    def digest(self) -> str:
        """SHA-256 over the rows noted, as canonical JSON lines: of a picture its path relative to the file, and its bytes."""
        return self._digest.hexdigest()

    def refuse_repeated_ids(self, examples: Sequence[Example], path: Path) -> None:
        """Raise InputError when rows could not be told apart; `examples` are those noted, of the file at `path`."""
        suspected = repeated(self._ids)
        if not suspected:
            return
        names = Counter(example.id for example in examples if id_digest(example.id) in suspected)
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise InputError(
                f"Ids in {path.name} are not unique.",
                got=", ".join(twice[:10]),
                next_step="give each row its own id, or drop the column",
            )


def _canonical(example: Example, folder: Path) -> bytes:
    content: dict[str, Any] = example.model_dump(mode="json", exclude={"problem", "image", "asked_class", *_LATER})
    # absent without a value, so that sets pinned before there were such columns keep their digest
    content |= {name: value for name in _LATER if (value := getattr(example, name)) is not None}
    if example.image is not None:
        content["image"] = [_relative(example.image, folder), _bytes_digest(example.image)]
    return _CANONICAL(content).encode() + b"\n"


def _relative(image: Path, folder: Path) -> str:
    return image.relative_to(folder).as_posix() if image.is_relative_to(folder) else image.as_posix()


def _bytes_digest(image: Path) -> str | None:
    try:
        if not image.is_file() or image.stat().st_size > MAX_BYTES:
            return None
        return file_digest(image)
    except OSError:
        return None
