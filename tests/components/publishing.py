"""A result folder as a finished run leaves it, about a version of the tiny registry."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import mlflow

from components import registry
from components.card import write_card
from components.signing import Signer, seal_folder
from schemas.base import Verdict
from schemas.governance import GovernanceReport
from schemas.release import ModelSnapshot
from tests.conftest import TinyRegistry
from tests.helpers import sample_records


class Results(NamedTuple):
    """A record with its folder, the client to look at what arrived, and the tracking URI."""

    record: GovernanceReport
    folder: Path
    client: Any
    tracking_uri: str

    def publish(self, *, force: bool = False) -> Any:
        """Publish the folder."""
        return registry.publish(self.record, folder=self.folder, tracking_uri=self.tracking_uri, force=force)

    def version(self) -> Any:
        """The model version as the registry has it now."""
        return self.client.get_model_version(self.record.model.name, self.record.model.version)

    def runs(self) -> list[Any]:
        """All runs of the model's experiment."""
        experiment = self.client.get_experiment_by_name(f"calig/{self.record.model.name}")
        return list(self.client.search_runs([experiment.experiment_id])) if experiment else []


def results_for(
    tracking_uri: str,
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
    seal = seal_folder(folder, record, signer, datetime(2026, 11, 2, 15, 0, tzinfo=UTC))
    (folder / "seal.json").write_bytes(seal.canonical())
    (folder / "record.json").write_bytes(record.canonical())
    (folder / "scratch.onnx").write_text("not to be published")
    return Results(record, folder, mlflow.MlflowClient(tracking_uri), tracking_uri)


def new_version(tiny: TinyRegistry, name: str, workspace: Path) -> ModelSnapshot:
    """A version of a model that only this test uses."""
    version = tiny.register(tiny.bert, name)
    return registry.fetch(
        registry.parse_model_ref(f"models:/{name}/{version}"), workspace=workspace, tracking_uri=tiny.tracking_uri
    )
