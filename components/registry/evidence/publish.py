"""Publish one explanation to MLflow: once, last, and so that a broken attempt can be taken up again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.common.errors import CouldNotRunError, InputError, PublishError
from components.registry.addresses import check_default, check_experiment
from components.registry.connection import connect, experiment_id, is_missing, tracking_errors
from components.registry.evidence.runs import Explanation, finished_run, published_run, unfinished_runs
from components.registry.evidence.summary import metrics_of, paragraph_of, run_tags, version_tags, with_paragraph
from schemas.governance import GovernanceReport
from schemas.release import DatasetRef, ModelSnapshot, ModelSource, PublishedRun
from schemas.tags import Tag

FILES = ("report.html", "record.json", "config.yaml")
#: What folders lack that are not signed, or from before there was such a file; the record stays last.
OPTIONAL = ("model_card.md", "seal.json", "attestation.json")
_NOTE = "mlflow.note.content"  # what MLflow's pages show as the description
_DIGEST_DIGITS = 36  # MLflow's limit for a data set's digest


def publish(record: GovernanceReport, *, folder: Path, force: bool = False) -> PublishedRun:
    """Put the evidence of one explanation into the experiment `calig/<model>` and its verdict onto the model version.

    `folder` holds report.html, record.json, config.yaml, attributions/*.parquet, the seal and the model card. The order makes
    every state readable: evidence, tags of the run, tags of the version, and only then is the run marked published. An attempt
    that broke off is taken up in its own run; a complete explanation is returned as it is unless `force`, which adds a new run.

    Raises:
        InputError: the model is no registry version, or files are missing from `folder`.
        PublishError: anything else; the results stay in `folder`.
    """
    _check(record, folder)
    try:
        return _published(connect(), record, folder, force)
    except Exception as error:
        raise PublishError(
            f"The results could not be published; they are complete on disk at {folder}.",
            got=" ".join(str(error).split()),
            next_step=f"when the tracking server is well again: calig publish {folder}",
        ) from error


def find_finished(snapshot: ModelSnapshot, fingerprint: str) -> PublishedRun | None:
    """The newest complete explanation of this version with this fingerprint, or None.

    Raises:
        CouldNotRunError: when the tracking server does not answer.
    """
    client = connect()
    with tracking_errors("search for earlier explanations"):
        run = finished_run(client, Explanation(snapshot.name, snapshot.version, fingerprint))
        return None if run is None else published_run(client, run)


def check_destination(model: str) -> None:
    """Raise InputError when evidence about `model` would not go where the server's artifacts go; before anything is computed.

    CouldNotRunError: when the tracking server does not answer.
    """
    client = connect()
    with tracking_errors(f"look up the experiment of {model}"):
        experiment = client.get_experiment_by_name(Explanation(model, "", "").experiment)
        if experiment is None:
            check_default(client)
        else:
            check_experiment(client, experiment)


def point_to(record: GovernanceReport, run_id: str) -> None:
    """Let the version's tags and description name this complete run, when they name another explanation or a gap.

    Raises:
        CouldNotRunError: when the registry does not answer.
    """
    client, model = connect(), record.model
    with tracking_errors(f"mark {model.uri}"):
        tags = client.get_model_version(model.name, model.version).tags
        if not version_tags(record, run_id).items() <= tags.items():
            _mark_version(client, client.get_run(run_id), record)


def _check(record: GovernanceReport, folder: Path) -> None:
    if record.model.source is not ModelSource.REGISTRY:
        raise InputError(
            "Only versions of registered models are published.", got=record.model.uri, allowed="models:/NAME/VERSION"
        )
    missing = [name for name in FILES if not (folder / name).is_file()]
    if not any((folder / "attributions").glob("*.parquet")):
        missing.append("attributions/*.parquet")
    if missing:
        raise InputError("The folder to publish is not complete.", got=folder, allowed=f"a folder with {', '.join(missing)} too")


def _published(client: Any, record: GovernanceReport, folder: Path, force: bool) -> PublishedRun:
    explanation = Explanation(record.model.name, record.model.version, record.fingerprint)
    finished = finished_run(client, explanation)
    if finished is not None and not force:
        return published_run(client, finished)
    run = _run_to_fill(client, explanation)
    if run is None:  # somebody else has just completed it
        return _published(client, record, folder, force)
    check_experiment(client, client.get_experiment(run.info.experiment_id))
    _log_evidence(client, run.info.run_id, record, folder)
    _read_back(client, run.info.run_id, folder)
    _describe(client, run, record)
    _mark_version(client, run, record)
    client.set_tag(run.info.run_id, Tag.PUBLISHED, "true")
    client.set_terminated(run.info.run_id, status="FINISHED")
    for left in unfinished_runs(client, explanation):
        client.delete_run(left.info.run_id)
    return published_run(client, client.get_run(run.info.run_id))


def _run_to_fill(client: Any, explanation: Explanation) -> Any | None:
    """The oldest run of an attempt at this explanation; the first attempt begins one. None when it was completed meanwhile.

    It is asked for after it was created: who publishes the same at the same time, or repeats a request whose answer was
    lost, has created another, and all of them fill the oldest.
    """
    if not unfinished_runs(client, explanation):
        _new_run(client, explanation)
    return next(iter(unfinished_runs(client, explanation)), None)


def _new_run(client: Any, explanation: Explanation) -> Any:
    experiment = experiment_id(client, explanation.experiment)
    return client.create_run(experiment, tags=explanation.tags, run_name=f"{explanation.model} v{explanation.version}")


def _log_evidence(client: Any, run_id: str, record: GovernanceReport, folder: Path) -> None:
    """The parameter first: it cannot be taken away again, so that a run with evidence is always found as one of this version."""
    client.log_param(run_id, Tag.VERSION, record.model.version)
    model_id = _known_model_id(client, record.model.model_id)
    _log_inputs(client, run_id, record.data.dataset, model_id)
    _log_metrics(client, run_id, record, model_id)
    for path in sorted((folder / "attributions").glob("*.parquet")):
        client.log_artifact(run_id, str(path), "calig/attributions")
    for name in (*OPTIONAL, *FILES):
        if (folder / name).is_file():
            client.log_artifact(run_id, str(folder / name), "calig")
    digest = hashlib.sha256((folder / "record.json").read_bytes()).hexdigest()
    for key, value in run_tags(record, digest).items():
        client.set_tag(run_id, key, value)


def _read_back(client: Any, run_id: str, folder: Path) -> None:
    """Ask the server for what it was sent: every file by its size, record and seal byte by byte.

    A server can accept files and keep none, as when its artifact root is a path that this machine took for its own.
    """
    kept = {f"calig/{path}": file.file_size for path, file in _kept(client, run_id)}
    sent = [path for path in folder.rglob("*") if path.is_file() and _is_published(path.relative_to(folder))]
    for path in sent:
        name = f"calig/{path.relative_to(folder).as_posix()}"
        size = kept.get(name, "nothing")
        if size != path.stat().st_size:
            raise _not_kept(name, f"{size} of {path.stat().st_size} bytes")
    with TemporaryDirectory() as temporary:
        for name in ("record.json", "seal.json"):
            if (folder / name).is_file():
                got = Path(client.download_artifacts(run_id, f"calig/{name}", temporary))
                if got.read_bytes() != (folder / name).read_bytes():
                    raise _not_kept(f"calig/{name}", "other content")


def _kept(client: Any, run_id: str) -> Iterator[tuple[str, Any]]:
    for place in ("calig", "calig/attributions"):
        for file in client.list_artifacts(run_id, place):
            if not file.is_dir:
                yield str(file.path).removeprefix("calig/"), file


def _is_published(path: Path) -> bool:
    name = path.as_posix()
    return name in {*OPTIONAL, *FILES} or (path.parent.as_posix() == "attributions" and path.suffix == ".parquet")


def _not_kept(name: str, what: str) -> CouldNotRunError:
    return CouldNotRunError(
        "The tracking server did not keep the evidence as it was sent.",
        got=f"{name}: {what}",
        next_step="check the server's artifact store: it should serve artifacts itself, or share a store with its clients",
    )


def _known_model_id(client: Any, model_id: str | None) -> str | None:
    """None too when this server does not hold the logged model, as for a version copied from another server."""
    if model_id is None:
        return None
    try:
        client.get_logged_model(model_id)
    except Exception as error:
        if is_missing(error):
            return None
        raise
    return model_id


def _log_inputs(client: Any, run_id: str, dataset: DatasetRef, model_id: str | None) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput

    entity = Dataset(
        name=dataset.name,
        digest=dataset.digest[:_DIGEST_DIGITS],
        source_type="local",
        source=json.dumps({"uri": str(dataset.path)}),
        profile=json.dumps({"num_rows": dataset.n_rows, "sha256": dataset.digest}),
    )
    inputs = [DatasetInput(entity, tags=[InputTag("mlflow.data.context", "validation")])]
    client.log_inputs(run_id, inputs, [LoggedModelInput(model_id)] if model_id else None)


def _log_metrics(client: Any, run_id: str, record: GovernanceReport, model_id: str | None) -> None:
    """With the record's own time, so that a second attempt writes the same points and no more."""
    from mlflow.entities import Metric

    dataset, time_ms = record.data.dataset, int(record.created_at.timestamp() * 1000)
    about = {
        "model_id": model_id,
        "dataset_name": dataset.name,
        "dataset_digest": dataset.digest[:_DIGEST_DIGITS],
        "run_id": run_id,
    }
    metrics = [Metric(name, value, time_ms, 0, **about) for name, value in metrics_of(record).items()]
    for start in range(0, len(metrics), 500):
        client.log_batch(run_id, metrics=metrics[start : start + 500])


def _describe(client: Any, run: Any, record: GovernanceReport) -> None:
    """The same paragraph on the run's page and on that of the logged model, below what their owners wrote."""
    paragraph, model_id = paragraph_of(record, run), _known_model_id(client, record.model.model_id)
    client.set_tag(run.info.run_id, _NOTE, with_paragraph(run.data.tags.get(_NOTE), paragraph))
    if model_id is not None:
        known = client.get_logged_model(model_id).tags.get(_NOTE)
        tags = {_NOTE: with_paragraph(known, paragraph), Tag.VERDICT: record.decision.verdict.value}
        client.set_logged_model_tags(model_id, tags)


def _mark_version(client: Any, run: Any, record: GovernanceReport) -> None:
    name, version = record.model.name, record.model.version
    known = client.get_model_version(name, version)
    client.update_model_version(name, version, description=with_paragraph(known.description, paragraph_of(record, run)))
    if Tag.REASON.value in known.tags:  # why it was given up before: that is over
        client.delete_model_version_tag(name, version, Tag.REASON.value)
    for key, value in version_tags(record, run.info.run_id).items():
        client.set_model_version_tag(name, version, key, value)
