"""The Helm chart as Helm renders it, and Kubernetes objects without what Helm or Kustomize add to them."""

from __future__ import annotations

import copy
import re
from typing import Any

import helm_python
import yaml

from tests.helpers.deploy_files import DEPLOY

CHART = DEPLOY / "helm" / "calig"
_HASHED = re.compile(r"^(calig-(?:environment|watch|job-patch))-[a-z0-9]{10}$")
_ADDED_BY_HELM = re.compile(r"^(checksum|helm\.sh)/|^app\.kubernetes\.io/managed-by$")


def notes(values: dict[str, Any] | None = None) -> str:
    """What `helm install` says at its end."""
    return _files(values or {}, "calig")["calig/templates/NOTES.txt"]


def rendered(values: dict[str, Any] | None = None, *, namespace: str = "calig") -> list[dict[str, Any]]:
    """The objects that `helm install --namespace NAMESPACE` would send."""
    files = _files(values or {}, namespace)
    texts = [text for name, text in sorted(files.items()) if name.endswith(".yaml")]
    return [item for text in texts for item in yaml.safe_load_all(text) if item]


def _files(values: dict[str, Any], namespace: str) -> dict[str, str]:
    with helm_python.Chart.load(str(CHART)) as chart:
        chart.validate_schema(values)
        files: dict[str, str] = chart.render(values, name="calig", namespace=namespace)
        return files


def comparable(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Objects by kind and name, with arguments and files as they will be read.

    Left out: namespaces, hashes, checksums, Helm's labels; the Namespace, which Helm does not make, and the Job, which is a hook.
    """
    environment = next(item["data"] for item in objects if _plain(item["metadata"]["name"]) == "calig-environment")
    kept = [item for item in copy.deepcopy(objects) if item["kind"] not in {"Namespace", "Job"}]
    return {f"{item['kind']}/{_plain(item['metadata']['name'])}": _comparable(item, environment) for item in kept}


def _comparable(item: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    item["metadata"].pop("namespace")
    if item["kind"] == "ConfigMap":
        item["data"] = {
            key: yaml.safe_load(text) for key, text in item["data"].items() if key.isupper() or key.endswith((".yaml", ".json"))
        }
    content: dict[str, Any] = _walked(item, environment)
    return content


def _walked(value: Any, environment: dict[str, str]) -> Any:
    """Without what is added, names without hashes, and values of the environment where an argument names them."""
    if isinstance(value, dict):
        inner = {key: _walked(one, environment) for key, one in value.items() if not _ADDED_BY_HELM.search(key)}
        return {key: one for key, one in inner.items() if (key, one) != ("annotations", {})}
    if isinstance(value, list):
        return [_walked(one, environment) for one in value]
    if isinstance(value, str):
        return _plain(re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), value))
    return value


def _plain(name: str) -> str:
    return _HASHED.sub(r"\1", name)
