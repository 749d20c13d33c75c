"""Kubernetes objects as the checks see them: pods, label selectors, contents, environments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Object = dict[str, Any]


class Pod(NamedTuple):
    """A pod as some object makes it: `Kind/name` of that object, the pod's labels and its specification."""

    maker: str
    namespace: str
    labels: Mapping[str, str]
    spec: Object

    @property
    def container_ports(self) -> dict[str, int]:
        """Ports by their names."""
        return {
            port["name"]: port["containerPort"] for container in self.spec["containers"] for port in container.get("ports", [])
        }


class Cluster:
    """Objects that are applied, and others that are there."""

    def __init__(self, objects: Iterable[Object], given: Iterable[Object]) -> None:
        self.objects = list(flat(objects))
        self.all = [*self.objects, *flat(given)]
        self.pods = [pod for item in self.objects for pod in _pods(item)]

    def of(self, kind: str) -> list[Object]:
        """Applied objects of a kind."""
        return [item for item in self.objects if item["kind"] == kind]

    def find(self, kind: str, name: str, namespace: str) -> Object | None:
        """The object of that name, applied or there."""
        return next((item for item in self.all if (item["kind"], name_of(item), space_of(item)) == (kind, name, namespace)), None)

    def chosen(self, selector: Object, namespace: str) -> list[Pod]:
        """Applied pods that a label selector chooses."""
        return [pod for pod in self.pods if pod.namespace == namespace and matches(selector, pod.labels)]

    def namespace_labels(self, namespace: str) -> dict[str, str]:
        """Labels of a namespace: its name, which Kubernetes sets, and those that an applied object sets."""
        item = self.find("Namespace", namespace, "")
        return {"kubernetes.io/metadata.name": namespace, **({} if item is None else item["metadata"].get("labels", {}))}


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector (matchLabels and matchExpressions) chooses something with these labels."""
    wanted = selector.get("matchLabels", {})
    return wanted.items() <= labels.items() and all(_holds(one, labels) for one in selector.get("matchExpressions", []))


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case _:
            return value is None


def flat(objects: Iterable[Object | None]) -> Iterator[Object]:
    """Objects, those of lists one by one."""
    for item in objects:
        if item and item["kind"].endswith("List"):
            yield from flat(item["items"])
        elif item:
            yield item


def _pods(item: Object) -> Iterator[Pod]:
    spec = item.get("spec", {})
    template = spec.get("jobTemplate", {}).get("spec", spec).get("template", item if item["kind"] == "Pod" else None)
    if template and "containers" in template.get("spec", {}):
        labels = template.get("metadata", {}).get("labels", {})
        yield Pod(said(item), space_of(item), labels, template["spec"])


def name_of(item: Object) -> str:
    """The name, or what a generated one begins with."""
    metadata = item["metadata"]
    return str(metadata.get("name") or metadata["generateName"])


def space_of(item: Object) -> str:
    """The namespace; empty for what has none."""
    return str(item["metadata"].get("namespace", ""))


def said(item: Object) -> str:
    """Kind and name, as messages name an object."""
    return f"{item['kind']}/{name_of(item)}"


def content_of(item: Object) -> dict[str, str]:
    """What a config map or secret holds, by its keys."""
    return {**item.get("data", {}), **item.get("binaryData", {}), **item.get("stringData", {})}


def environment_of(cluster: Cluster, pod: Pod, container: Object) -> dict[str, str]:
    """Variables of a container as far as the objects say: of config maps, literal ones, and the namespace."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        item = cluster.find("ConfigMap", source.get("configMapRef", {}).get("name", ""), pod.namespace)
        found |= {} if item is None else content_of(item)
    for entry in container.get("env", []):
        if "value" in entry:
            found[entry["name"]] = entry["value"]
        elif entry.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath") == "metadata.namespace":
            found[entry["name"]] = pod.namespace
    return {name: expanded(value, found) for name, value in found.items()}


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """`text` with $(NAME) replaced, as Kubernetes does; unknown names stay."""
    return re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), text)
