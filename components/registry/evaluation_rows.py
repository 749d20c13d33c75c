"""The rows that MLflow evaluates on, written as a data set that `components.datasets` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.errors import InputError


def write_rows(dataset: Any, path: Path, *, text_column: str | None) -> Path:
    """Write an MLflow `EvaluationDataset` to `path` as JSON lines with `text`, `label` and all other columns.

    Args:
        dataset: as MLflow passes it to evaluators: features as a DataFrame or an array of one column, and labels.
        path: the file to write.
        text_column: which column is the text; None: `text` or `image`, else the only column there is.

    Raises:
        InputError: no column is the text, two columns have one name, or a column holds what JSON cannot.
    """
    frame = _frame(dataset)
    column = text_column or _text_column(list(frame.columns))
    if column not in frame.columns:
        raise InputError("The evaluated data have no such column.", got=column, allowed=", ".join(map(str, frame.columns)))
    frame = frame.rename(columns={column: column if column == "image" else "text"})
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


_DIGITS = 15  # the most that pandas writes


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
