"""The MLflow runs of explanations: the names that identify them, and the searches that find them."""

from __future__ import annotations

from typing import Any, NamedTuple

from components.registry.addresses import without_password
from components.registry.versions.lookup import quoted
from schemas.base import Verdict
from schemas.release import PublishedRun
from schemas.tags import Tag


class Explanation(NamedTuple):
    """The identity of an explanation; the same on every attempt."""

    model: str
    version: str
    fingerprint: str

    @property
    def experiment(self) -> str:
        """The experiment that holds all explanations of the model."""
        return f"calig/{self.model}"

    @property
    def tags(self) -> dict[str, str]:
        """The run's tags by which it is found again."""
        return {Tag.MODEL: self.model, Tag.VERSION: self.version, Tag.FINGERPRINT: self.fingerprint}


def finished_run(client: Any, explanation: Explanation) -> Any | None:
    """The newest run whose evidence is complete."""
    return next((run for run in _runs(client, explanation) if is_complete(run)), None)


def unfinished_runs(client: Any, explanation: Explanation) -> list[Any]:
    """Runs of attempts that broke off, or go on elsewhere; oldest first, in the same order for everybody who asks."""
    found = [run for run in _runs(client, explanation) if not is_complete(run)]
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))


def published_run(client: Any, run: Any) -> PublishedRun:
    """The record of a complete run."""
    return PublishedRun(
        run_id=run.info.run_id,
        verdict=Verdict(run.data.tags[Tag.VERDICT]),
        run_url=run_url(client.tracking_uri, run),
        artifact_uri=f"{without_password(run.info.artifact_uri)}/calig",
    )


def run_url(server: str, run: Any) -> str | None:
    """The run's page, when the tracking server has pages."""
    if not server.startswith(("http://", "https://")):
        return None
    return f"{without_password(server).rstrip('/')}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def _runs(client: Any, explanation: Explanation) -> list[Any]:
    """Newest first. The version is compared here, since any text may stand in a name or version of a filter."""
    experiment = client.get_experiment_by_name(explanation.experiment)
    if experiment is None:
        return []
    found = client.search_runs(
        [experiment.experiment_id],
        filter_string=f"tags.`{Tag.FINGERPRINT}` = '{explanation.fingerprint}'",
        order_by=["attributes.start_time DESC"],
    )
    return [run for run in found if explanation.tags.items() <= run.data.tags.items()]


def runs_of_version(client: Any, model: str, version: str) -> list[Any]:
    """Every run that says it explains this version: complete or not, deleted or not, newest first.

    By the parameter, which nobody can change or take away once it is logged; by the tag too, for runs from before there was it.
    """
    experiment = client.get_experiment_by_name(Explanation(model, version, "").experiment)
    if experiment is None:
        return []
    stated = [f"params.`{Tag.VERSION}` = {quoted(version)}", f"tags.`{Tag.VERSION}` = {quoted(version)}"]
    by_parameter, by_tag = (_all_runs(client, experiment.experiment_id, text) for text in stated)
    named = [run for run in by_tag if run.data.tags.get(Tag.MODEL) == model]
    return list({run.info.run_id: run for run in (*by_parameter, *named)}.values())


def complete_runs(client: Any, model: str) -> list[Any]:
    """Every complete explanation of any version of a model, newest first."""
    experiment = client.get_experiment_by_name(Explanation(model, "", "").experiment)
    if experiment is None:
        return []
    found = _all_runs(client, experiment.experiment_id, f"tags.`{Tag.PUBLISHED}` = 'true'")
    return [run for run in found if is_complete(run) and run.info.lifecycle_stage == "active"]


def _all_runs(client: Any, experiment_id: str, filter_string: str) -> list[Any]:
    from mlflow.entities import ViewType

    found: list[Any] = []
    token: str | None = None
    while token is None or token:
        page = client.search_runs(
            [experiment_id],
            filter_string=filter_string,
            run_view_type=ViewType.ALL,
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        found += page
        token = page.token or ""
    return found


def is_complete(run: Any) -> bool:
    """Whether the run's evidence is all there."""
    return bool(run.info.status == "FINISHED" and run.data.tags.get(Tag.PUBLISHED) == "true")
