"""MLflow's evaluator plug-in: `mlflow.models.evaluate(…, evaluators="calig")` explains the model that is evaluated.

The explaining function is passed in, since the whole pipeline lies above this package. Nothing is published: the results go into
the evaluation's own run, and no verdict of a version changes.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.models.evaluation.artifacts import JsonEvaluationArtifact, TextEvaluationArtifact
from mlflow.models.evaluation.base import EvaluationResult, ModelEvaluator

from components.common.errors import InputError
from components.registry.evidence.summary import metrics_of, run_tags
from components.registry.models.artifacts import place_logged_model
from schemas.governance import GovernanceReport

_TASKS = ("text-classification", "image-classification")
_FILES = ("report.html", "record.json")
#: The most digits that pandas writes.
_DIGITS = 15
_logger = logging.getLogger(__name__)


class Explained(NamedTuple):
    """A finished record and the folder with its report."""

    record: GovernanceReport
    folder: Path


#: (model folder, data set, the evaluator's configuration) → what was found.
Explain = Callable[[Path, Path, Mapping[str, Any]], Explained]


class TransformersEvaluator(ModelEvaluator):
    """Evaluates logged transformers classifiers by explaining them; a subclass says how (`explain`)."""

    explain: Explain

    @classmethod
    def can_evaluate(cls, *, model_type: str | None, evaluator_config: Mapping[str, Any], **_: Any) -> bool:
        """Whether it is a classifier; MLflow does not yet say which one."""
        del evaluator_config
        return model_type == "classifier"

    def evaluate(
        self,
        *,
        dataset: Any,
        run_id: str,
        evaluator_config: Mapping[str, Any],
        model: Any = None,
        model_id: str | None = None,
        **_: Any,
    ) -> EvaluationResult | None:
        """Metrics and the artifacts `calig/report.html` and `calig/record.json` of the run `run_id`.

        None for models that are no transformers classifiers: MLflow asks every evaluator that is installed when none is named.

        Raises:
            InputError: data or settings that cannot be used. CouldNotRunError: the run cannot be done.
        """
        uri = _model_uri(model)
        if uri is None:
            return None
        client = MlflowClient()
        with TemporaryDirectory(prefix="calig-") as temporary:
            folder = Path(temporary)
            placed = place_logged_model(uri, folder)
            rows = write_rows(
                dataset,
                folder / "evaluated.jsonl",
                text_column=evaluator_config.get("text"),
                pair_column=evaluator_config.get("text_pair"),
            )
            found = type(self).explain(placed, rows, evaluator_config)
            artifacts = _log_artifacts(client, run_id, found.folder)
            digest = hashlib.sha256((found.folder / "record.json").read_bytes()).hexdigest()
        metrics = metrics_of(found.record)
        if model_id is None:  # of a version MLflow does not know it; with it, MLflow logs them itself, onto the model too
            _log_metrics(client, run_id, found.record, metrics, uri.removeprefix("models:/"))
        for key, value in run_tags(found.record, digest).items():
            client.set_tag(run_id, key, value)
        return EvaluationResult(metrics, artifacts, run_id)  # type: ignore[no-untyped-call]


def _model_uri(model: Any) -> str | None:
    """Where the logged model is, when it is a transformers classifier; else None, and the log says why."""
    metadata = getattr(model, "metadata", None)
    flavour = (getattr(metadata, "flavors", None) or {}).get("transformers") or {}
    model_id = getattr(metadata, "model_id", None)
    if flavour.get("task") in _TASKS and model_id:
        return f"models:/{model_id}"
    _logger.warning("calig explains logged transformers classifiers (%s): this model is none and is left out", ", ".join(_TASKS))
    return None


def _log_artifacts(client: Any, run_id: str, folder: Path) -> dict[str, Any]:
    classes: dict[str, Any] = {"report.html": TextEvaluationArtifact, "record.json": JsonEvaluationArtifact}
    base, artifacts = client.get_run(run_id).info.artifact_uri, {}
    for name in _FILES:
        client.log_artifact(run_id, str(folder / name), "calig")
        artifact = classes[name](uri=f"{base}/calig/{name}")
        artifact._load(str(folder / name))
        artifacts[f"calig/{name}"] = artifact
    return artifacts


def _log_metrics(client: Any, run_id: str, record: GovernanceReport, metrics: Mapping[str, float], model_id: str) -> None:
    time_ms = int(record.created_at.timestamp() * 1000)
    client.log_batch(
        run_id, metrics=[Metric(name, value, time_ms, 0, model_id=model_id, run_id=run_id) for name, value in metrics.items()]
    )


def write_rows(dataset: Any, path: Path, *, text_column: str | None, pair_column: str | None = None) -> Path:
    """Write an MLflow `EvaluationDataset` to `path` as JSON lines with `text`, `label` and all other columns.

    Args:
        dataset: as MLflow passes it to evaluators: features as a DataFrame or an array of one column, and labels.
        pair_column: which column is the second text of pairs; None: `text_pair`, where there is one.
        path: the file to write; pictures that rows name are copied beside it, since data sets read none from elsewhere.
        text_column: which column is the text; None: `text` or `image`, else the only column there is.

    Raises:
        InputError: no column is the text, two columns have one name, or a column holds what JSON cannot.
    """
    frame = _frame(dataset)
    column = text_column or _text_column(list(frame.columns))
    names = {column: column if column == "image" else "text"} | ({} if pair_column is None else {pair_column: "text_pair"})
    for missing in names.keys() - set(frame.columns):
        raise InputError("The evaluated data have no such column.", got=missing, allowed=", ".join(map(str, frame.columns)))
    frame = frame.rename(columns=names)
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
