"""What stands in deploy/: its documents, containers, command lines and the names they use."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from deploy.references.objects import Cluster

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
K8S = DEPLOY / "k8s"
_INTERPOLATED = re.compile(r"\$\{(\w+)(?::([-+])([^}]*))?\}")


class Launch(NamedTuple):
    """One process that a file starts: where it says so, its command line, and the variables set for it."""

    name: str
    command: list[str]
    environment: dict[str, str]


def load_all(file: Path) -> list[dict[str, Any]]:
    """The documents of a YAML file."""
    return [document for document in yaml.safe_load_all(file.read_text(encoding="utf-8")) if document is not None]


def compose() -> dict[str, Any]:
    """compose.yaml with its variables at their defaults, as `docker compose config` would show it."""
    content = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    interpolated: dict[str, Any] = _interpolate(content)
    return interpolated


def compose_variables() -> dict[str, str]:
    """The variables that compose.yaml asks for, and their defaults."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    return {name: default for name, kind, default in _INTERPOLATED.findall(text) if kind != "+"}


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """The objects that `kubectl apply -k` would send for a folder."""
    beside = Path(sys.executable).parent / "kubectl"
    kubectl = str(beside) if beside.exists() else shutil.which("kubectl")
    assert kubectl, "no kubectl: the extra dev brings it"
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


@cache
def _overlay(name: str) -> str:
    return yaml.safe_dump_all(kustomized(K8S / "overlays" / name))


def manifests(overlay: str = "gpu") -> list[dict[str, Any]]:
    """Every Kubernetes object of an overlay, filled with its values; the caller may change them."""
    return list(yaml.safe_load_all(_overlay(overlay)))


def made(folder: Path, **kustomization: Any) -> list[dict[str, Any]]:
    """The objects of an overlay made in `folder`; its resources, components and transformers are paths below deploy/k8s."""
    up = os.path.relpath(K8S.resolve(), folder.resolve())
    placed = {key: [f"{up}/{path}" for path in kustomization.pop(key, [])] for key in ("resources", "components", "transformers")}
    content = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": "calig"}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content | placed | kustomization), encoding="utf-8")
    return kustomized(folder)


def pod_specs(overlay: str = "gpu") -> dict[str, dict[str, Any]]:
    """Pod specifications by the name of the object that holds them."""
    return {pod.maker.partition("/")[2]: pod.spec for pod in Cluster(manifests(overlay), []).pods}


def launches() -> list[Launch]:
    """Every process of ours that compose.yaml or a manifest starts."""
    return [*_from_compose(), *_from_manifests()]


def _from_compose() -> Iterator[Launch]:
    for name, service in compose()["services"].items():
        if "command" in service:
            yield Launch(f"compose {name}", list(map(str, service["command"])), service.get("environment", {}))


def _from_manifests() -> Iterator[Launch]:
    for name, pod in {**pod_specs("dev"), **pod_specs("gpu")}.items():
        for container in pod["containers"]:
            environment = {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
            yield Launch(f"k8s {name}", container["args"], environment)


def _interpolate(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _interpolate(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_interpolate(item) for item in value]
    return _INTERPOLATED.sub(_default, value) if isinstance(value, str) else value


def _default(match: re.Match[str]) -> str:
    return match[3] or "" if match[2] == "-" else ""
