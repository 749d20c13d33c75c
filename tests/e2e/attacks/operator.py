"""The operator's side: policy files, keys, the unattended worker that explains, and the gate as CI runs it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from typer.testing import CliRunner

from components import registry, signing
from components.common.configuration import load_watch
from components.common.errors import CaligError
from flows.evidence.sign_off import sign_off
from flows.reconcile import look_at
from schemas.config import GovernanceConfig, PipelineConfig
from schemas.signature import Ruling, SignOffDraft
from schemas.trigger import Run, RunState, Step
from tests.e2e.attacks.world import NAME, World

#: The surroundings are attacked, not the measurements: little is drawn, so that explaining takes seconds.
_QUALITY = {
    "fractions": [0.1, 0.3],
    "falsification_rows": 2,
    "sensitivity_draws": 1,
    "infidelity_draws": 4,
    "random_draws": 1,
    "bootstrap_draws": 100,
}


@dataclass(frozen=True)
class Gated:
    """What the gate answered, and where @champion was before and after."""

    exit_code: int
    output: str
    before: str | None
    after: str | None

    @property
    def turned(self) -> bool:
        """Whether the gate let the version through, or moved the alias."""
        return self.exit_code == 0 or self.before != self.after


@dataclass(frozen=True)
class Operator:
    """Owns the watch file, the gate's configuration, the trust list and the signing key, none of which an attacker writes."""

    world: World

    @property
    def home(self) -> Path:
        return self.world.folder / "operator"

    def settle(self) -> None:
        """Make keys and policy files."""
        self.home.mkdir()
        signing.create_key(self.home / "worker.pem", None)
        signing.create_key(self.home / "reviewer.pem", None)
        signing.add_trust(self._trust, self.home / "worker.pem.pub", "release pipeline", ("records",))
        signing.add_trust(self._trust, self.home / "reviewer.pem.pub", "Alice", ("sign-offs",))
        _write(self.home / "settings.yaml", {"quality": _QUALITY})
        self.admit()

    def admit(self, *tags: str) -> None:
        """Let these tags choose what is explained, and no others; as a rule, none."""
        _write(self.home / "watch.yaml", self._watch(tags))

    def explain(self, version: str, name: str = NAME) -> Step:
        """What the unattended worker does about a version: one look, and the run that it starts, to its end."""
        with self._environment():
            return look_at(name, version, load_watch(self.home / "watch.yaml"), _RunsHere())

    def explained(self, version: str, name: str = NAME) -> str | None:
        """The verdict that explaining `version` leaves on it."""
        self.explain(version, name)
        with self._environment():
            return registry.watched_version(name, version).tags.get("calig.verdict")

    def gate(
        self,
        version: str,
        *,
        name: str = NAME,
        promote: bool = True,
        cwd: Path | None = None,
        policy: Mapping[str, Any] | None = None,
    ) -> Gated:
        """`calig gate`, with the operator's configuration and `policy` beyond it, in `cwd`."""
        from flows.cli.app import app

        config = _write(self.home / "gate.yaml", self._gate(policy or {}))
        asked = ["gate", f"models:/{name}/{version}", "--config", config, *(["--promote"] if promote else [])]
        before = self.champion(name)
        with self._environment(), _inside(cwd):
            result = CliRunner().invoke(app, [str(part) for part in asked], catch_exceptions=False)
        return Gated(result.exit_code, result.output, before, self.champion(name))

    def release(self, version: str) -> None:
        """Put a version into production by hand: the first one has nothing to be promoted over."""
        with self._environment():
            registry.set_alias(NAME, "champion", version)

    def champion(self, name: str = NAME) -> str | None:
        """Which version @champion is."""
        try:
            with self._environment():
                return registry.resolve_reference(registry.parse_model_ref(f"models:/{name}@champion")).version
        except CaligError:
            return None

    def waive(self, version: str, *, expires: date) -> None:
        """The reviewer's waiver, as `calig waive` puts it beside the evidence."""
        self._decide(version, Ruling.WAIVED, expires)

    def reject(self, version: str) -> None:
        """The reviewer's rejection."""
        self._decide(version, Ruling.REJECTED, None)

    def key_id(self, name: str) -> str:
        """The id of one of the operator's keys."""
        return signing.key_id(signing.load_public(self.home / f"{name}.pem.pub"))

    def _decide(self, version: str, ruling: Ruling, expires: date | None) -> None:
        draft = SignOffDraft(ruling=ruling, reviewer="Alice", reason="looked at it", expires=expires)
        config = GovernanceConfig(signing_key=self.home / "reviewer.pem", trusted_keys=self._trust)
        with self._environment():
            sign_off(f"models:/{NAME}/{version}", draft, config)

    @property
    def _trust(self) -> Path:
        return self.home / "trusted.yaml"

    def _watch(self, admitted: Sequence[str]) -> dict[str, Any]:
        return {
            "models": [{"name": f"{NAME}*", "dataset": str(self.world.data / "validation.jsonl")}],
            "defaults": {"config": str(self.home / "settings.yaml"), "output": str(self.world.output)},
            "tags": list(admitted),
            "data_roots": [str(self.world.data)],
            "settings_roots": [str(self.world.settings)],
            "max_attempts": 1,
        }

    def _gate(self, policy: Mapping[str, Any]) -> dict[str, Any]:
        return {"gate": dict(policy), "quality": _QUALITY, "governance": {"trusted_keys": str(self._trust)}}

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """Of the operator's processes: where MLflow is, and the key that signs."""
        signed = {
            "MLFLOW_TRACKING_URI": self.world.tracking_uri,
            signing.KEY_FILE: str(self.home / "worker.pem"),
            signing.TRUST_FILE: str(self._trust),
        }
        with patch.dict(os.environ, signed):
            yield


class _RunsHere:
    """Runs of the explaining flow in this process, to their end: what a worker does, without its waiting."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    def find(self, key: str) -> Run | None:
        return self._runs.get(key)

    def start(self, key: str, parameters: dict[str, Any]) -> Run:
        from flows.explain_release import explain_release

        settings = PipelineConfig.model_validate(parameters["config"])
        state, message = RunState.COMPLETED, ""
        try:
            explain_release(**{**parameters, "config": settings, "output": Path(parameters["output"])})
        except CaligError as error:
            state, message = RunState.DIED, f"{type(error).__name__}: {error}"
        self._runs[key] = Run(id=key, state=state, message=message, last_sign=datetime.now(UTC))
        return self._runs[key]

    def stop(self, run: Run, reason: str) -> None:
        raise NotImplementedError

    def bury(self, run: Run, reason: str) -> None:
        raise NotImplementedError


@contextmanager
def _inside(cwd: Path | None) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(cwd or before)
    try:
        yield
    finally:
        os.chdir(before)


def _write(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")
    return path
