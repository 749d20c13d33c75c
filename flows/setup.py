"""Prepares servers for calig, repeatably: a signing key, work pools, the GPU limit, deployments, MLflow's webhook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import PREFECT_API_URL

from components import registry, signing
from components.common.errors import CouldNotRunError, InputError
from components.common.installation import HOME, require_free_of_intruders
from flows.execution.resources import GPU_LIMIT

#: The deployments that calig comes with: deploy/prefect.yaml, also where calig is installed without its repository.
PREFECT_FILE = Path(__file__).with_name("prefect.yaml")
_DEPLOY_TIMEOUT_S = 300


class SetupOptions(NamedTuple):
    """Servers and keys to prepare."""

    prefect_file: Path
    kubernetes_pools: tuple[str, ...]
    job_template: Path | None
    gpu_slots: int
    webhook_url: str | None
    webhook_secret: str | None
    signing_key: Path | None = None
    trusted_keys: Path | None = None


def set_up(options: SetupOptions) -> Iterator[str]:
    """Do it step by step, and say each step that is done.

    Raises:
        InputError: a file that cannot be read, no Prefect server named, or a work pool of another type.
        CouldNotRunError: when a server fails or cannot be reached.
    """
    pools = sorted({*pools_of(options.prefect_file), *options.kubernetes_pools})
    home = working_directory(options.prefect_file)
    yield from make_keys(options.signing_key, options.trusted_keys)
    template = None if options.job_template is None else _job_template(options.job_template)
    if not PREFECT_API_URL.value():
        raise InputError("No Prefect server is named.", next_step="set PREFECT_API_URL, for instance http://127.0.0.1:4200/api")
    with _prefect_errors(), get_client(sync_client=True) as client:
        for pool in pools:
            kubernetes = pool in options.kubernetes_pools
            kind = "kubernetes" if kubernetes else "process"
            yield f"work pool {pool}: {_ensure_pool(client, pool, kind, template if kubernetes else None)}"
        client.upsert_global_concurrency_limit_by_name(GPU_LIMIT, options.gpu_slots)
        yield f"concurrency limit {GPU_LIMIT}: {options.gpu_slots}"
    yield f"deployments: {', '.join(_deploy(options.prefect_file, home))}"
    if options.webhook_url is None:
        yield "webhook: left out, no --webhook-url; new versions are found by the reconciler"
        return
    change = registry.ensure_webhook(options.webhook_url, options.webhook_secret or "")
    yield f"webhook to {options.webhook_url}: {change}"


def make_keys(signing_key: Path | None, trusted_keys: Path | None) -> Iterator[str]:
    """A key that signs records, and a list that trusts it; what is there is never overwritten."""
    if signing_key is None:
        yield f"signing key: left out, {signing.KEY_FILE} names no file: evidence will not be signed"
        return
    if signing_key.exists():
        key_id = signing.load_signer(signing_key, signing.passphrase_of_environment()).key_id
        yield f"signing key {key_id}: there already"
    else:
        key_id = signing.create_key(signing_key, signing.passphrase_of_environment())
        yield f"signing key {key_id}: created in {signing_key}"
    yield f"trusted keys: {_trust(signing_key, key_id, trusted_keys)}"


def _trust(signing_key: Path, key_id: str, trusted_keys: Path | None) -> str:
    public = signing_key.with_name(f"{signing_key.name}.pub")
    if trusted_keys is None:
        return f"left out, {signing.TRUST_FILE} names no file; calig keys trust {public} --name pipeline --for records"
    if trusted_keys.exists():
        known = signing.load_trust(trusted_keys).find(key_id)
        return "there already" if known else f"there already, without this key: its signatures do not count ({trusted_keys})"
    signing.add_trust(trusted_keys, public, "pipeline", ("records",))
    return f"created in {trusted_keys}; gates and reviewers need a copy"


def pools_of(prefect_file: Path) -> list[str]:
    """Names of the work pools that the deployments in `prefect_file` run in, each once."""
    return sorted({str((entry.get("work_pool") or {}).get("name")) for entry in _deployments(prefect_file)})


def _deployments(prefect_file: Path) -> list[dict[str, Any]]:
    try:
        content = yaml.safe_load(prefect_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError("The file of deployments cannot be read.", got=f"{prefect_file}: {error}") from error
    entries: list[dict[str, Any]] | None = content.get("deployments") if isinstance(content, dict) else None
    if not entries or not all(isinstance(entry, dict) and (entry.get("work_pool") or {}).get("name") for entry in entries):
        raise InputError(
            "The file lists no deployments, or one without a work pool.",
            got=prefect_file,
            allowed="the form of deploy/prefect.yaml",
        )
    return entries


def _job_template(file: Path) -> dict[str, Any]:
    try:
        template = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("The base job template cannot be read.", got=f"{file}: {error}") from error
    if not isinstance(template, dict) or set(template) != {"job_configuration", "variables"}:
        raise InputError("The base job template is none.", got=file, allowed="an object with job_configuration and variables")
    return template


def _ensure_pool(client: SyncPrefectClient, name: str, kind: str, template: dict[str, Any] | None) -> str:
    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=template or {}))
        return f"created ({kind})"
    if pool.type != kind:
        raise InputError(
            f"The work pool {name} exists and is of another type.",
            got=pool.type,
            allowed=kind,
            next_step=f"see --kubernetes-pool, or delete the pool: prefect work-pool delete {name}",
        )
    if template is None or pool.base_job_template == template:
        return f"there already ({kind})"
    client.update_work_pool(name, WorkPoolUpdate(base_job_template=template))
    return "job template updated"


def working_directory(prefect_file: Path) -> Path:
    """Where the deployments' runs work: CALIG_HOME, else the folder that `deploy/` is in, else here.

    Raises:
        InputError: a package there has the name of one of calig's, which runs would then import in its place.
    """
    here = Path.cwd() if prefect_file == PREFECT_FILE else prefect_file.absolute().parent.parent
    home = Path(os.environ.get("CALIG_HOME") or here)
    require_free_of_intruders(home)
    return home


def _deploy(prefect_file: Path, home: Path) -> list[str]:
    """Through Prefect's own command. It looks for flows first where it is started, so that is where calig is installed."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--prefect-file", str(prefect_file.absolute()), "--all"]
    places = {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "CALIG_HOME": str(home), "PYTHONPATH": str(HOME)}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, no shell
            command,
            cwd=HOME,
            env={**os.environ, **places},
            capture_output=True,
            text=True,
            timeout=_DEPLOY_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotRunError("`prefect deploy` could not run.", got=error) from error
    if done.returncode:
        raise CouldNotRunError(
            f"`prefect deploy` ended with {done.returncode}.", got=" ".join((done.stdout + done.stderr).split())[-300:]
        )
    return [str(entry.get("name")) for entry in _deployments(prefect_file)]


@contextmanager
def _prefect_errors() -> Iterator[None]:
    try:
        yield
    except (HTTPError, PrefectException, OSError) as error:
        raise CouldNotRunError(
            "The Prefect server cannot be reached or refused.",
            got=f"{type(error).__name__}: {error}",
            next_step="check PREFECT_API_URL and, where the server asks for it, PREFECT_API_AUTH_STRING; run again",
        ) from error
