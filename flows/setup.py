"""Prepares servers for calig, repeatably: a signing key, work pools, the GPU limit, deployments, MLflow's webhook."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml
from httpx import HTTPError
from jsonpatch import JsonPatch, JsonPatchException
from jsonpointer import JsonPointerException
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import PREFECT_API_URL

from components import registry, signing
from components.common.errors import CouldNotRunError, InputError, require_free_of_intruders
from flows.execution.resources import GPU_LIMIT

#: The deployments that calig comes with: deploy/prefect.yaml, also where calig is installed without its repository.
PREFECT_FILE = Path(__file__).with_name("prefect.yaml")
#: Where the packages of this installation are.
_PACKAGES = Path(__file__).resolve().parents[1]
_DEPLOY_TIMEOUT_S = 300


class SetupOptions(NamedTuple):
    """Servers and keys to prepare."""

    prefect_file: Path
    kubernetes_pools: tuple[str, ...]
    job_patch: Path | None
    gpu_slots: int
    webhook_url: str | None
    webhook_secret: str | None
    signing_key: Path | None = None
    trusted_keys: Path | None = None
    job_variables: Mapping[str, str] = MappingProxyType({})


def set_up(options: SetupOptions) -> Iterator[str]:
    """Do it step by step, and say each step that is done.

    Raises:
        InputError: a file that cannot be read, no Prefect server named, or a work pool of another type.
        CouldNotRunError: when a server fails or cannot be reached.
    """
    pools = sorted({*pools_of(options.prefect_file), *options.kubernetes_pools})
    home = working_directory(options.prefect_file)
    yield from make_keys(options.signing_key, options.trusted_keys)
    template = job_template(options.job_patch, options.job_variables) if options.kubernetes_pools else None
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


def job_template(patch: Path | None, defaults: Mapping[str, str]) -> dict[str, Any]:
    """Prefect's own base job template for Kubernetes, changed by the JSON Patch (RFC 6902, as YAML) in `patch`.

    `defaults` are defaults of its variables; an empty one leaves the variable as it is.

    Raises:
        InputError: prefect-kubernetes is not installed, the patch does not fit Prefect's template, or a variable is unknown.
    """
    try:
        from prefect_kubernetes.worker import KubernetesWorker
    except ModuleNotFoundError as error:
        raise InputError(
            "Kubernetes pools need prefect-kubernetes.", got=error, next_step="pip install 'calig[kubernetes]'"
        ) from error
    template: dict[str, Any] = KubernetesWorker.get_default_base_job_template()
    if patch is not None:
        template = _patched(template, patch)
    variables = template["variables"]["properties"]
    for name, value in defaults.items():
        if name not in variables:
            raise InputError("The job template has no such variable.", got=name, allowed=", ".join(sorted(variables)))
        if value:
            variables[name]["default"] = value
    return template


def _patched(template: dict[str, Any], patch: Path) -> dict[str, Any]:
    try:
        operations = yaml.safe_load(patch.read_text(encoding="utf-8"))
        changed: dict[str, Any] = JsonPatch(operations).apply(template)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError("The patch of the job template cannot be read.", got=f"{patch}: {error}") from error
    except (JsonPatchException, JsonPointerException, TypeError) as error:
        raise InputError(
            "The patch does not fit Prefect's job template.",
            got=f"{patch}: {type(error).__name__}: {error}",
            allowed="a list of JSON Patch operations (RFC 6902) on paths that are there",
            next_step="look at the template: prefect work-pool get-default-base-job-template --type kubernetes",
        ) from error
    return changed


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
    places = {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "CALIG_HOME": str(home), "PYTHONPATH": str(_PACKAGES)}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, no shell
            command,
            cwd=_PACKAGES,
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
