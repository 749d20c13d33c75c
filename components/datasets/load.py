"""One validation set, from a file or folder to checked examples and the reference that pins them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from components.datasets.readers import Rows, bare_name, read_rows
from components.datasets.rows import RowReader
from components.datasets.segments import segment_columns
from components.errors import InputError
from schemas.release import DatasetRef, Example

Modality = Literal["text", "image"]
_MODALITIES: dict[str, Modality] = {"text": "text", "image": "image"}


def load(path: Path, *, limit: int | None, labels: tuple[str, ...], modality: str) -> tuple[DatasetRef, list[Example]]:
    """The rows of a validation set, in the order of the file, and the reference that pins them.

    Formats: CSV, JSON Lines (both also `.gz`), Parquet, or a folder written by `datasets`' `save_to_disk`. Columns:

    - `text`, or for image models `image`: the path of a picture, relative to the file;
    - `label` (optional): a class name of the model, or its index;
    - `id` (optional): unique; the row's number, from 0, when there is no such column;
    - `rationale` (optional): character spans `[[start, end], ...]`, end exclusive; in CSV as a JSON string;
    - `rationales` (optional, instead): one such list per annotator, `[[[start, end], ...], ...]`;
    - any other column of text, booleans or whole numbers with at most 20 distinct values is a segment column.

    `limit` takes the first so many rows; everything, the digest too, is about these alone. The digest does not depend on the
    format: the same rows have the same digest, and for pictures it covers their bytes. A row with blank text or an
    unreadable picture is kept with its `problem`.

    Raises:
        InputError: missing or empty file, unknown format, broken line, missing column, duplicate ids, labels that the model
            does not have, rationales outside the text.
    """
    kind = _checked_modality(modality)
    if limit is not None and limit < 1:
        raise InputError("The limit of rows must be at least 1.", got=limit)
    path = path.expanduser()
    rows = read_rows(path, limit)
    _check_column(rows, kind, path)
    segments = segment_columns(rows)
    reader = RowReader(folder=path.resolve().parent, labels=labels, modality=kind, segments=segments)
    examples = [reader.example(number, row) for number, row in enumerate(rows.values)]
    _check_labels(examples, labels, path)
    _check_ids(examples, path)
    return _reference(path, examples, kind, segments, limit), examples


def _checked_modality(modality: str) -> Modality:
    if modality not in _MODALITIES:
        raise InputError("Unknown modality.", got=modality, allowed=", ".join(_MODALITIES))
    return _MODALITIES[modality]


def _check_column(rows: Rows, modality: Modality, path: Path) -> None:
    if not rows.values:
        raise InputError("The data set has no rows.", got=path)
    if modality in rows.columns:
        return
    close = get_close_matches(modality, rows.columns, n=1)
    advice = (
        f"did you mean {close[0]!r}? Rename it to {modality!r}."
        if close
        else f"rename the column with the {modality} to {modality!r}"
    )
    raise InputError(
        f"The data set has no column {modality!r}, which a model for {modality} needs.",
        got=f"columns {', '.join(rows.columns)}",
        next_step=advice,
    )


def _check_labels(examples: list[Example], labels: tuple[str, ...], path: Path) -> None:
    unknown = Counter(example.label for example in examples if example.label is not None and example.label not in labels)
    if not unknown:
        return
    listed = ", ".join(f"{label!r} ({count} rows)" for label, count in unknown.most_common(10))
    raise InputError(
        f"{path.name} has labels that the model does not have.",
        got=listed,
        allowed=f"{', '.join(map(repr, labels))}, or an index from 0 to {len(labels) - 1}",
        next_step="map the labels to the model's class names",
    )


def _check_ids(examples: list[Example], path: Path) -> None:
    twice = [name for name, count in Counter(example.id for example in examples).items() if count > 1]
    if twice:
        raise InputError(
            f"Ids in {path.name} are not unique.",
            got=", ".join(twice[:10]),
            next_step="give each row its own id, or drop the column",
        )


def _reference(
    path: Path, examples: list[Example], modality: Modality, segments: tuple[str, ...], limit: int | None
) -> DatasetRef:
    return DatasetRef(
        name=bare_name(path),
        path=path.resolve(),
        digest=_digest(examples, path.resolve().parent),
        n_rows=len(examples),
        modality=modality,
        has_labels=any(example.label is not None for example in examples),
        has_rationales=any(example.rationale is not None or example.rationales is not None for example in examples),
        segment_columns=segments,
        limit=limit,
    )


def _digest(examples: Iterable[Example], folder: Path) -> str:
    """SHA-256 over the rows as canonical JSON lines: of a picture its path relative to the file, and its bytes."""
    digest = hashlib.sha256()
    for example in examples:
        content = example.model_dump(mode="json", exclude={"problem", "image", "rationales"})
        if (
            example.rationales is not None
        ):  # absent otherwise, so that sets pinned before there was such a column keep their digest
            content["rationales"] = example.rationales
        if example.image is not None:
            content["image"] = [_relative(example.image, folder), _bytes_digest(example.image)]
        digest.update(json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def _relative(image: Path, folder: Path) -> str:
    return image.relative_to(folder).as_posix() if image.is_relative_to(folder) else image.as_posix()


def _bytes_digest(image: Path) -> str | None:
    try:
        with image.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None
