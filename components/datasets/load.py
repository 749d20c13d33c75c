"""One validation set, from a file or folder to checked examples and the reference that pins them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Literal

from components.common.errors import InputError
from components.datasets.columns import check_columns
from components.datasets.limits import Limits
from components.datasets.pinning import Pinning
from components.datasets.readers import bare_name, read_rows
from components.datasets.rows import RowReader
from components.datasets.stored import Examples
from components.datasets.survey import Survey
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
) -> tuple[DatasetRef, Examples]:
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

    The file is read once; the examples lie in a temporary file (where `TMPDIR` says) as long as they are held, and beside them,
    while this runs, what was read. Memory grows by some bytes a row.

    Raises:
        InputError: missing or empty file, unknown format, broken line, missing, repeated or misspelt column, duplicate ids,
            labels that the model does not have or that could be names or indices, rationales outside the text, or a file beyond
            the limits.
    """
    kind = _checked_modality(modality)
    if limit is not None and limit < 1:
        raise InputError("The limit of rows must be at least 1.", got=limit)
    path = path.expanduser()
    survey = Survey(read_rows(path, limit, limits or Limits.from_environment()), labels, label_kind, path.name)
    if not survey:
        raise InputError("The data set has no rows.", got=path)
    check_columns(survey.columns, kind)
    survey.swallowed.refuse()
    segments, gold = survey.segments.names(), survey.gold.reading()
    reader = RowReader(
        folder=path.resolve().parent,
        modality=kind,
        segments=segments,
        has_ids="id" in survey.columns,
        has_pairs=kind == "text" and "text_pair" in survey.columns,
    )
    found = (reader.example(number, row, gold(row.get("label"))) for number, row in enumerate(survey.rows()))
    pinning = Pinning(reader.folder)
    examples = Examples(pinning.noted(found if per_label is None else _for_each_label(found, labels, per_label)))
    if per_label is not None:
        segments = _with_explained_label(segments, path)
    if not examples:
        raise InputError("No row has a gold label to explain.", got=path, next_step="explain another target, such as predicted")
    pinning.refuse_repeated_ids(examples, path)
    pinned = DatasetRef(
        name=bare_name(path),
        path=path.resolve(),
        digest=pinning.digest,
        n_rows=len(examples),
        modality=kind,
        has_labels=pinning.has_labels,
        has_rationales=pinning.has_rationales,
        has_pairs=pinning.has_pairs,
        segment_columns=segments,
        limit=limit,
        each_label=per_label == "each",
        each_gold_label=per_label == "gold",
        n_without_label=survey.gold.n_without if per_label == "gold" else 0,
        label_kind=label_kind,
    )
    return pinned, examples


def load_again(pinned: DatasetRef, labels: tuple[str, ...], path: Path | None = None) -> tuple[DatasetRef, Examples]:
    """The rows of a data set that was read before, in the same way, from its place or from `path`; raises as `load` does."""
    return load(
        path or pinned.path,
        limit=pinned.limit,
        labels=labels,
        modality=pinned.modality,
        per_label=pinned.per_label,
        label_kind=pinned.label_kind,
    )


def _for_each_label(examples: Iterable[Example], labels: Sequence[str], per_label: PerLabel) -> Iterator[Example]:
    """Every example once per label, together: numbered anew, the label in its id and in its segments.

    Of gold labels one that is not known leaves the row as it is, for its problem to be said.
    """
    row = count()
    for example in examples:
        if per_label == "gold" and example.gold_labels is None:
            yield example.model_copy(update={"row": next(row)})
            continue
        for label in labels if per_label == "each" else example.gold_labels or ():
            stands = {"row": next(row), "id": id_for_label(example.id, label), "asked_class": label}
            yield example.model_copy(update=stands | {"segments": example.segments | {EXPLAINED_LABEL: label}})


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
    if any(example.problem is None for example in examples):
        return
    problems = Counter(example.problem for example in examples)
    listed = "; ".join(f"{problem} ({count} rows)" for problem, count in problems.most_common(3))
    raise InputError(f"{name} has no row that can be explained.", got=listed, next_step="mend the data set")


def _checked_modality(modality: str) -> Modality:
    if modality not in _MODALITIES:
        raise InputError("Unknown modality.", got=modality, allowed=", ".join(_MODALITIES))
    return _MODALITIES[modality]
