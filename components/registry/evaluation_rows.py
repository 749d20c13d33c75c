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
        InputError: no column is the text.
    """
    frame = _frame(dataset)
    column = text_column or _text_column(list(frame.columns))
    if column not in frame.columns:
        raise InputError("The evaluated data have no such column.", got=column, allowed=", ".join(map(str, frame.columns)))
    frame = frame.rename(columns={column: column if column == "image" else "text"})
    if dataset.labels_data is not None:
        frame["label"] = list(dataset.labels_data)
    frame.to_json(path, orient="records", lines=True, force_ascii=False)
    return path


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
