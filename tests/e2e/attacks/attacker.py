"""The attacker: all that someone may do who writes to MLflow, without a signing key and without the operator's files."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

import rfc8785

from components import registry, signing
from components.records import read_record
from schemas.governance import GovernanceReport
from tests.e2e.attacks.operator import Operator
from tests.e2e.attacks.world import NAME, World
from tests.helpers.tracking import connected

Change = Callable[[dict[str, Any]], None]
_EVIDENCE_TAGS = ("calig.run_id", "calig.fingerprint", "calig.verdict")


@dataclass(frozen=True)
class Target:
    """What is gated after the attack; it holds the shortcut's weights, or leads to them."""

    version: str
    name: str = NAME
    promote: bool = True
    cwd: Path | None = None
    policy: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Attacker:
    """Writes tags, aliases, versions, runs and artifacts of the registry, and makes the worker look again."""

    world: World
    operator: Operator
    folder: Path
    _numbers: Any = field(default_factory=count)

    @property
    def client(self) -> Any:
        """MLflow's own client."""
        from mlflow import MlflowClient

        return MlflowClient(self.world.tracking_uri)

    @property
    def stranger(self) -> signing.Signer:
        """A key of the attacker's own, which nobody trusts."""
        path = self.folder / "stranger.pem"
        if not path.exists():
            signing.create_key(path, None)
        return signing.load_signer(path, None)

    def tag(self, version: str, tags: Mapping[str, str], name: str = NAME) -> None:
        """Set tags of a version."""
        for key, value in tags.items():
            self.client.set_model_version_tag(name, version, key, value)

    def tags(self, version: str, name: str = NAME) -> dict[str, str]:
        """The tags of a version."""
        return dict(self.client.get_model_version(name, version).tags)

    def alias(self, version: str | None, alias: str = "champion", name: str = NAME) -> None:
        """Move an alias, or take it away."""
        if version is None:
            self.client.delete_registered_model_alias(name, alias)
        else:
            self.client.set_registered_model_alias(name, alias, version)

    def have_explained(self, version: str, name: str = NAME) -> None:
        """Let the worker look at a version as if it were new, by the tag that everybody may set."""
        self.tag(version, {"calig.retry": f"again {time.time_ns()}"}, name)
        self.operator.explain(version, name)

    def register(self, model: Path, name: str = NAME, tags: Mapping[str, str] | None = None) -> str:
        """Log and register saved weights; the new version."""
        with connected(self.world.tracking_uri):
            version = registry.register(model, name=name, experiment="elsewhere", tags={}, metrics={})
        self.tag(version, tags or {}, name)
        return version

    def weights_of(self, version: str, name: str = NAME) -> Path:
        """The folder in MLflow's storage that holds a version's logged model."""
        location = self.client.get_model_version_download_uri(name, version)
        return Path(str(location).removeprefix("file://"))

    def run_of(self, version: str, name: str = NAME) -> str:
        """The run that the version's tags name."""
        return self.tags(version, name)["calig.run_id"]

    def runs_of(self, version: str, name: str = NAME) -> list[Any]:
        """All explanations of a version, newest first."""
        experiment = self.client.get_experiment_by_name(f"calig/{name}")
        found = self.client.search_runs([experiment.experiment_id], order_by=["attributes.start_time DESC"])
        return [run for run in found if run.data.tags.get("calig.version") == version]

    def artifacts_of(self, run_id: str) -> Path:
        """The folder in MLflow's storage that holds an explanation's files."""
        return Path(str(self.client.get_run(run_id).info.artifact_uri).removeprefix("file://")) / "calig"

    def record_of(self, version: str) -> GovernanceReport:
        """What the worker found about a version."""
        path = self.artifacts_of(self.run_of(version)) / signing.RECORD
        return read_record(path.read_bytes(), path)

    def copy_of_evidence(self, run_id: str) -> Path:
        """An explanation's files, to be forged at leisure."""
        return Path(shutil.copytree(self.artifacts_of(run_id), self.folder / f"evidence-{next(self._numbers)}"))

    def publish(self, evidence: Path, version: str, *, name: str = NAME, start_time: int | None = None) -> str:
        """Put files into a new run that looks as a worker's does; its id."""
        record = read_record((evidence / signing.RECORD).read_bytes(), evidence)
        experiment = self.client.get_experiment_by_name(f"calig/{name}").experiment_id
        tags = {
            "calig.model": name,
            "calig.version": version,
            "calig.fingerprint": record.fingerprint,
            "calig.verdict": record.decision.verdict.value,
            "calig.published": "true",
        }
        run_id: str = self.client.create_run(
            experiment, start_time=start_time, tags=tags, run_name=f"{name} v{version}"
        ).info.run_id
        self.client.log_param(run_id, "calig.version", version)
        self.client.log_artifacts(run_id, str(evidence), "calig")
        self.client.set_terminated(run_id)
        return run_id

    def point(self, version: str, run_id: str, name: str = NAME) -> None:
        """Let a version's tags name `run_id`, and say what that run says."""
        said = self.client.get_run(run_id).data.tags
        self.tag(version, {"calig.run_id": run_id, **{key: said[key] for key in _EVIDENCE_TAGS[1:]}}, name)

    def evidence_tags(self, version: str) -> dict[str, str]:
        """The tags by which a version names its evidence."""
        return {key: value for key, value in self.tags(version).items() if key.startswith("calig.")}

    def forge(self, evidence: Path, change: Change, *, seal: Literal["none", "stranger", "old"] = "none") -> Path:
        """Change a record, written as records are: without a seal, sealed anew by the stranger's key, or with the old seal."""
        content = json.loads((evidence / signing.RECORD).read_bytes())
        change(content)
        if seal != "old":
            (evidence / signing.SEAL).unlink(missing_ok=True)
            content["decision"]["signing_key"] = self.stranger.key_id if seal == "stranger" else None
        (evidence / signing.RECORD).write_bytes(rfc8785.dumps(content))
        if seal == "stranger":
            self._seal(evidence)
        return evidence

    def _seal(self, evidence: Path) -> None:
        record = read_record((evidence / signing.RECORD).read_bytes(), evidence)
        sealed = signing.seal_folder(evidence, record, self.stranger, record.created_at)
        (evidence / signing.SEAL).write_bytes(sealed.canonical())


def passing(content: dict[str, Any]) -> None:
    """The change that lets a record say pass, in every part of it."""
    content["decision"] |= {"verdict": "pass", "reasons": ["all is well"], "fired": "no part failed", "next_step": "nothing"}
    content["drift"] |= {"verdict": "pass", "reason": "no word shifted", "word_shifts": [], "statistics": []}
    content["probe"] = None


def as_about(genuine: GovernanceReport) -> Change:
    """The change that makes a record pass and be about the version that `genuine` is about, in all that names it."""

    def change(content: dict[str, Any]) -> None:
        passing(content)
        content["model"] = genuine.model.model_dump(mode="json")

    return change
