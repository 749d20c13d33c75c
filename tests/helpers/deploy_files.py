"""What stands in deploy/: its documents, containers, command lines and the names they use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

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


def manifests() -> list[dict[str, Any]]:
    """Every Kubernetes object that is applied: the resources of the kustomization."""
    (kustomization,) = load_all(K8S / "kustomization.yaml")
    return [document for name in kustomization["resources"] for document in load_all(K8S / name)]


def pod_specs() -> dict[str, dict[str, Any]]:
    """Pod specifications by the name of the object that holds them."""
    running = [item for item in manifests() if "template" in item.get("spec", {})]
    return {item["metadata"]["name"]: item["spec"]["template"]["spec"] for item in running}


def launches() -> list[Launch]:
    """Every process of ours that compose.yaml or a manifest starts."""
    return [*_from_compose(), *_from_manifests()]


def _from_compose() -> Iterator[Launch]:
    for name, service in compose()["services"].items():
        if "command" in service:
            yield Launch(f"compose {name}", list(map(str, service["command"])), service.get("environment", {}))


def _from_manifests() -> Iterator[Launch]:
    for name, pod in pod_specs().items():
        for container in pod["containers"]:
            yield Launch(f"k8s {name}", container["args"], {entry["name"]: entry["value"] for entry in container["env"]})


def _interpolate(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _interpolate(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_interpolate(item) for item in value]
    return _INTERPOLATED.sub(_default, value) if isinstance(value, str) else value


def _default(match: re.Match[str]) -> str:
    return match[3] or "" if match[2] == "-" else ""
