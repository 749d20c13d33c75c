"""One validation set, from a file or folder to checked examples and the reference that pins them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from calig.pictures import MAX_BYTES
from components.common.errors import InputError
from components.common.file_digests import file_digest
from components.datasets.columns import check_columns, segment_columns
from components.datasets.gold import read_gold
from components.datasets.limits import Limits
from components.datasets.readers import bare_name, read_rows, refuse_swallowed_lines
from components.datasets.rows import RowReader
from components.table.gold import EXPLAINED_LABEL, id_for_label
from schemas.release import DatasetRef, Example, LabelKind, PerLabel

Modality = Literal["text", "image"]
_MODALITIES: dict[str, Modality] = {"text": "text", "image": "image"}


def load(
    path: Path,
    *,
    limit: int | None,
    labels: tuple[str, ...],
    modality: str,
    limits: Limits | None = None,
    per_label: PerLabel | None = None,
    label_kind: LabelKind = "class",
) -> tuple[DatasetRef, list[Example]]:
    """The rows of a validation set, in the order of the file, and the reference that pins them.

    Formats: CSV, JSON Lines (both also `.gz`), Parquet, or a folder written by `datasets`' `save_to_disk`. Columns:

    - `text`, or for image models `image`: the path of a picture, relative to the file and below its folder;
    - `text_pair` (optional): the second text of every row, for models that read pairs; with it `rationale` marks `text`, and
      `rationale_pair` marks `text_pair`;
    - `label` (optional): class names of the model in every row, or their indices in every row; by `label_kind` lists of these
      (multi-label models; in CSV as JSON lists), or numbers (regressions);
    - `id` (optional): unique; the row's number, from 0, when there is no such column;
    - `rationale` (optional): character spans `[[start, end], ...]`, end exclusive; in CSV as a JSON string;
    - `rationales` (optional, instead): one such list per annotator, `[[[start, end], ...], ...]`;
    - any other column of text, booleans or whole numbers with at most 20 distinct values is a segment column.

    `limit` takes the first so many rows; everything, the digest too, is about these alone. The digest does not depend on the
    format: the same rows have the same digest, and for pictures it covers their bytes. A row with a blank text or
    an unreadable picture is kept with its `problem`. `limits` bound what is read; None: what the environment says.
    `per_label`: every row stands once for "each" of the model's `labels`, or for each of its "gold" ones (rows that have none are
    left out and counted); the label is then its segment `explained label`.

    Raises:
        InputError: missing or empty file, unknown format, broken line, missing, repeated or misspelt column, duplicate ids,
            labels that the model does not have or that could be names or indices, rationales outside the text, or a file beyond
            the limits.
    """
    kind = _checked_modality(modality)
    if limit is not None and limit < 1:
        raise InputError("The limit of rows must be at least 1.", got=limit)
    path = path.expanduser()
    rows = read_rows(path, limit, limits or Limits.from_environment())
    if not rows.values:
        raise InputError("The data set has no rows.", got=path)
    check_columns(rows.columns, kind)
    if path.name.lower().endswith((".csv", ".csv.gz")):
        refuse_swallowed_lines(rows, labels, path.name)
    segments = segment_columns(rows)
    gold = read_gold([row.get("label") for row in rows.values], labels, label_kind, path.name)
    reader = RowReader(
        folder=path.resolve().parent,
        modality=kind,
        segments=segments,
        has_ids="id" in rows.columns,
        has_pairs=kind == "text" and "text_pair" in rows.columns,
    )
    examples = [reader.example(number, row, answer) for number, (row, answer) in enumerate(zip(rows.values, gold, strict=True))]
    without = sum(example.gold_labels == () for example in examples) if per_label == "gold" else 0
    if per_label is not None:
        examples, segments = _for_each_label(examples, labels, per_label), _with_explained_label(segments, path)
    if not examples:
        raise InputError("No row has a gold label to explain.", got=path, next_step="explain another target, such as predicted")
    _check_ids(examples, path)
    pinned = _reference(path, examples, kind, segments, limit)
    how = {"each_label": per_label == "each", "each_gold_label": per_label == "gold", "n_without_label": without}
    return pinned.model_copy(update=how | {"label_kind": label_kind}), examples


def load_again(pinned: DatasetRef, labels: tuple[str, ...], path: Path | None = None) -> tuple[DatasetRef, list[Example]]:
    """The rows of a data set that was read before, in the same way, from its place or from `path`; raises as `load` does."""
    return load(
        path or pinned.path,
        limit=pinned.limit,
        labels=labels,
        modality=pinned.modality,
        per_label=pinned.per_label,
        label_kind=pinned.label_kind,
    )


def _for_each_label(examples: Sequence[Example], labels: Sequence[str], per_label: PerLabel) -> list[Example]:
    """Every example once per label, together: numbered anew, the label in its id and in its segments.

    Of gold labels one that is not known leaves the row as it is, for its problem to be said.
    """
    made: list[Example] = []
    for example in examples:
        if per_label == "gold" and example.gold_labels is None:
            made.append(example.model_copy(update={"row": len(made)}))
            continue
        for label in labels if per_label == "each" else example.gold_labels or ():
            stands = {"row": len(made), "id": id_for_label(example.id, label), "asked_class": label}
            made.append(example.model_copy(update=stands | {"segments": example.segments | {EXPLAINED_LABEL: label}}))
    return made


def _with_explained_label(segments: tuple[str, ...], path: Path) -> tuple[str, ...]:
    if EXPLAINED_LABEL in segments:
        raise InputError(
            f"{path.name} has a column with a name of our own, for the class explained.",
            got=EXPLAINED_LABEL,
            next_step="give the column another name",
        )
    return (*segments, EXPLAINED_LABEL)


def require_usable(examples: Sequence[Example], name: str) -> None:
    """Raise InputError when no row can be explained: all that follows would be for nothing."""
    problems = Counter(example.problem for example in examples)
    if None not in problems:
        listed = "; ".join(f"{problem} ({count} rows)" for problem, count in problems.most_common(3))
        raise InputError(f"{name} has no row that can be explained.", got=listed, next_step="mend the data set")


def _checked_modality(modality: str) -> Modality:
    if modality not in _MODALITIES:
        raise InputError("Unknown modality.", got=modality, allowed=", ".join(_MODALITIES))
    return _MODALITIES[modality]


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
        has_labels=any(example.has_gold for example in examples),
        has_rationales=any(example.rationale is not None or example.rationales is not None for example in examples),
        has_pairs=any(example.text_pair is not None for example in examples),
        segment_columns=segments,
        limit=limit,
    )


_LATER = ("text_pair", "rationales", "gold_labels", "gold_value")


def _digest(examples: Iterable[Example], folder: Path) -> str:
    """SHA-256 over the rows as canonical JSON lines: of a picture its path relative to the file, and its bytes."""
    digest = hashlib.sha256()
    for example in examples:
        content = example.model_dump(mode="json", exclude={"problem", "image", "asked_class", *_LATER})
        # absent without a value, so that sets pinned before there were such columns keep their digest
        content |= {name: value for name in _LATER if (value := getattr(example, name)) is not None}
        if example.image is not None:
            content["image"] = [_relative(example.image, folder), _bytes_digest(example.image)]
        digest.update(json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def _relative(image: Path, folder: Path) -> str:
    return image.relative_to(folder).as_posix() if image.is_relative_to(folder) else image.as_posix()


def _bytes_digest(image: Path) -> str | None:
    try:
        if not image.is_file() or image.stat().st_size > MAX_BYTES:
            return None
        return file_digest(image)
    except OSError:
        return None
