"""A result folder as a finished run leaves it, about a version of the tiny registry."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import mlflow

from components import registry
from components.card import write_card
from components.registry.versions.lookup import registered_as
from components.signing import Signer, inspect_record, seal_folder
from schemas.base import Verdict
from schemas.evidence import Evidence
from schemas.governance import GovernanceReport
from schemas.release import ModelSnapshot
from schemas.signature import TrustList
from tests.conftest import TinyRegistry
from tests.helpers import sample_records


class Results(NamedTuple):
    """A record with its folder, and the client to look at what arrived."""

    record: GovernanceReport
    folder: Path
    client: Any

    def publish(self, *, force: bool = False) -> Any:
        """Publish the folder."""
        return registry.publish(self.record, folder=self.folder, force=force)

    def evidence(self, trusted: TrustList = TrustList()) -> Evidence:  # noqa: B008 - frozen
        """The newest explanation of the version, by these keys."""
        return newest(self.record.model.uri, trusted)

    def again(self, folder: Path, *, hours: float = 1.0, signer: Signer | None = None, **decided: Any) -> Results:
        """The same explained anew, so many hours later, by a decision of its own, in a folder of its own; not published yet."""
        shutil.copytree(self.folder, folder)
        key = {"signing_key": None if signer is None else signer.key_id}
        decision = self.record.decision.model_copy(update=key | decided)
        created = self.record.created_at + timedelta(hours=hours)
        record = self.record.model_copy(update={"created_at": created, "decision": decision})
        write(folder, record, signer)
        return self._replace(record=record, folder=folder)

    def about(self, version: Any, folder: Path, signer: Signer | None) -> Results:
        """The same about another MLflow `ModelVersion` of the same files, in a folder of its own; not published yet."""
        named = {"name": version.name, "version": str(version.version), "uri": f"models:/{version.name}/{version.version}"}
        model = self.record.model.model_copy(update=named | {"registered": registered_as(version)})
        moved = self._replace(record=self.record.model_copy(update={"model": model}))
        return moved.again(folder, hours=0.0, signer=signer)

    def version(self) -> Any:
        """The model version as the registry has it now."""
        return self.client.get_model_version(self.record.model.name, self.record.model.version)

    def runs(self) -> list[Any]:
        """All runs of the model's experiment."""
        experiment = self.client.get_experiment_by_name(f"calig/{self.record.model.name}")
        return list(self.client.search_runs([experiment.experiment_id])) if experiment else []


def results_for(
    snapshot: ModelSnapshot,
    folder: Path,
    *,
    fingerprint: str = "9f2c" * 16,
    verdict: Verdict = Verdict.FAIL,
    signer: Signer | None = None,
) -> Results:
    """The drifted sample, said to be about `snapshot`, written as a run writes it."""
    tables = folder.parent / f"{folder.name}-tables"
    tables.mkdir()
    sample = sample_records.drifted(tables)
    decided = {"verdict": verdict, "signing_key": None if signer is None else signer.key_id}
    decision = sample.record.decision.model_copy(update=decided)
    record = sample.record.model_copy(update={"model": snapshot, "fingerprint": fingerprint, "decision": decision})
    (folder / "attributions").mkdir(parents=True)
    shutil.copy(sample.tables[0], folder / "attributions" / "shard-000.parquet")
    (folder / "report.html").write_text("<title>report</title>", encoding="utf-8")
    (folder / "config.yaml").write_text("attribution: {}\n", encoding="utf-8")
    write_card(record, folder / "model_card.md")
    write(folder, record, signer)
    (folder / "scratch.onnx").write_text("not to be published")
    return Results(record, folder, mlflow.MlflowClient())


def write(folder: Path, record: GovernanceReport, signer: Signer | None) -> None:
    """The record, and the seal over it and what lies in the folder."""
    seal = seal_folder(folder, record, signer, datetime(2026, 11, 2, 15, 0, tzinfo=UTC))
    (folder / "seal.json").write_bytes(seal.canonical())
    (folder / "record.json").write_bytes(record.canonical())


def newest(uri: str, trusted: TrustList = TrustList()) -> Evidence:  # noqa: B008 - frozen
    """The newest explanation of a version, by these keys."""
    verify = partial(inspect_record, trusted=trusted)
    return registry.newest_explanation(registry.parse_model_ref(uri), verify)


def artifact_folder(client: Any, run_id: str) -> Path:
    """Where the registry's storage keeps the evidence of a run."""
    return Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://")) / "calig"


def new_version(tiny: TinyRegistry, name: str, workspace: Path) -> ModelSnapshot:
    """A version of a model that only this test uses."""
    version = tiny.register(tiny.bert, name)
    return registry.fetch(registry.parse_model_ref(f"models:/{name}/{version}"), workspace=workspace)
