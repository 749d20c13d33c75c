"""The rows that MLflow evaluates on, written as a data set that `components.datasets` reads."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from components.common.errors import InputError

#: The most digits that pandas writes.
_DIGITS = 15


def write_rows(dataset: Any, path: Path, *, text_column: str | None) -> Path:
    """Write an MLflow `EvaluationDataset` to `path` as JSON lines with `text`, `label` and all other columns.

    Args:
        dataset: as MLflow passes it to evaluators: features as a DataFrame or an array of one column, and labels.
        path: the file to write; pictures that rows name are copied beside it, since data sets read none from elsewhere.
        text_column: which column is the text; None: `text` or `image`, else the only column there is.

    Raises:
        InputError: no column is the text, two columns have one name, or a column holds what JSON cannot.
    """
    frame = _frame(dataset)
    column = text_column or _text_column(list(frame.columns))
    if column not in frame.columns:
        raise InputError("The evaluated data have no such column.", got=column, allowed=", ".join(map(str, frame.columns)))
    frame = frame.rename(columns={column: column if column == "image" else "text"})
    if column == "image":
        frame["image"] = [_copied(picture, path.parent / "pictures", number) for number, picture in enumerate(frame["image"])]
    if dataset.labels_data is not None:
        frame["label"] = list(dataset.labels_data)
    twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
    if twice:
        step = "keep one of them" if text_column is None else f"drop the other column {twice[0]!r}"
        raise InputError("The evaluated data have two columns of one name.", got=", ".join(twice), next_step=step)
    try:
        # Dates as people read them, not as milliseconds since 1970; numbers with all their digits, since ids may be numbers.
        frame.to_json(path, orient="records", lines=True, force_ascii=False, date_format="iso", double_precision=_DIGITS)
    except ValueError as error:  # UnicodeDecodeError among them
        allowed = "texts, numbers, booleans, dates"
        raise InputError("The evaluated data cannot be written as JSON.", got=error, allowed=allowed) from error
    return path


def _copied(picture: Any, folder: Path, number: int) -> str | None:
    """The copy's path relative to the rows; a picture that is no file stays as it was, for the row's problem to say so."""
    if not isinstance(picture, str | Path):
        return None
    source = Path(picture)
    if "\0" in str(picture) or not source.is_file():
        return str(picture)
    folder.mkdir(exist_ok=True)
    name = f"{number}{source.suffix}"
    shutil.copyfile(source, folder / name)
    return f"{folder.name}/{name}"


def _frame(dataset: Any) -> Any:
    import pandas as pd

    features = dataset.features_data
    if isinstance(features, pd.DataFrame):
        return features.reset_index(drop=True)
    return pd.DataFrame(features, columns=list(dataset.feature_names))


def _text_column(columns: list[str]) -> str:
    known = [name for name in ("text", "image") if name in columns]
    if known or len(columns) == 1:
        return (known or columns)[0]
    raise InputError(
        "It is not clear which column is the text.",
        got=", ".join(map(str, columns)),
        allowed="a column named text or image, or a single column",
        next_step='name it: evaluator_config={"text": "COLUMN"}',
    )
