"""Addresses inside of the cluster, and the ways to them that network policies leave open."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from deploy.references.objects import Cluster, Object, Pod, content_of, environment_of, expanded, matches, name_of, said, space_of

_ADDRESS = re.compile(r"(https?)://(?:[^/@\s]*@)?([\w.-]+)(?::(\d+))?")
_STORE = re.compile(r"^\s*store:\s*\"?(?:s3|gs|gcs|abfs|az)://", re.MULTILINE)
_DNS = {"kube-dns", "dns-default"}
_STORE_LOGIN = "calig-store"


class Target(NamedTuple):
    """Pods behind a service: where they are, their labels as far as they are known, and the port there (none: unknown)."""

    namespace: str
    labels: Mapping[str, str]
    port: int | None
    protocol: str = "TCP"


def addresses(cluster: Cluster) -> Iterator[str]:
    """Addresses in variables and arguments name a service and its port; those in variables are also let out to and in at."""
    for pod in cluster.pods:
        for container in pod.spec["containers"]:
            environment = environment_of(cluster, pod, container)
            for name, text in environment.items():
                for found in _ADDRESS.finditer(text):
                    yield from _leads(cluster, pod, f"{name}={found[0]}", found, pod)
            server = _ADDRESS.search(environment.get("MLFLOW_TRACKING_URI", ""))
            for argument in container.get("args", []):
                for found in _ADDRESS.finditer(expanded(argument, environment)):
                    yield from _leads(cluster, pod, f"{argument.partition('=')[0]} {found[0]}", found, server and server[2])


def _leads(cluster: Cluster, pod: Pod, said: str, found: re.Match[str], caller: Pod | str | None) -> Iterator[str]:
    """`caller` is the pod that asks, or the host of the server that will."""
    scheme, host, port = found[1], found[2], int(found[3] or (443 if found[1] == "https" else 80))
    place = _service_at(host, pod.namespace)
    if place is None or (scheme == "https" and cluster.find("Service", *place) is None):
        if isinstance(caller, Pod) and not _is_this_machine(host) and not _lets_outside(cluster, pod, port):
            yield f"{pod.maker}: {said}: no policy lets it out of the cluster on port {port}"
        return
    target, problem = _behind(cluster, place, port)
    if target is None:
        yield f"{pod.maker}: {said}: {problem}"
    elif isinstance(caller, Pod):
        if not lets_out(cluster, pod, target):
            yield f"{pod.maker}: {said}: no policy lets it out to port {target.port} of pods in namespace {target.namespace}"
        if not lets_in(cluster, target, pod.namespace, pod.labels):
            yield f"{pod.maker}: {said}: no policy lets it in at namespace {target.namespace}"
    elif caller and (server := _service_at(caller, pod.namespace)) and not lets_in(cluster, target, server[1], {}):
        yield f"{pod.maker}: {said}: no policy lets namespace {server[1]} in"


def _is_this_machine(host: str) -> bool:
    return host == "localhost" or re.fullmatch(r"127(\.\d+){3}|0\.0\.0\.0", host) is not None


def _service_at(host: str, namespace: str) -> tuple[str, str] | None:
    """Name and namespace of the service that a host inside of the cluster is; None for one outside."""
    if _is_this_machine(host) or re.fullmatch(r"[\d.]+", host):
        return None
    labels = host.split(".")
    if len(labels) > 2 and labels[2] != "svc":
        return None
    return labels[0], labels[1] if len(labels) > 1 else namespace


def _behind(cluster: Cluster, place: tuple[str, str], port: int) -> tuple[Target | None, str]:
    service = cluster.find("Service", *place)
    if service is None:
        return None, f"there is no service {place[0]} in namespace {place[1]}"
    offered = next((one for one in service["spec"]["ports"] if one["port"] == port), None)
    if offered is None:
        return None, f"the service {place[0]} has no port {port}"
    return _target(cluster, service, offered), ""


def _target(cluster: Cluster, service: Object, offered: Object) -> Target:
    selector, wanted = service["spec"].get("selector") or {}, offered.get("targetPort", offered["port"])
    pods = cluster.chosen({"matchLabels": selector}, space_of(service)) if selector else []
    if isinstance(wanted, str):
        wanted = next((pod.container_ports[wanted] for pod in pods if wanted in pod.container_ports), None)
    return Target(space_of(service), pods[0].labels if pods else selector, wanted, offered.get("protocol", "TCP"))


def dns(cluster: Cluster) -> Iterator[str]:
    """Every pod may ask the DNS that the cluster has."""
    for service in [item for item in cluster.all if item["kind"] == "Service" and name_of(item) in _DNS]:
        for offered in service["spec"]["ports"]:
            target = _target(cluster, service, offered)
            for pod in cluster.pods:
                if not lets_out(cluster, pod, target):
                    asked = f"{target.protocol} {target.port} of the DNS in {target.namespace}"
                    yield f"{pod.maker}: no policy lets it out to {asked}"


def kubernetes_api(cluster: Cluster) -> Iterator[str]:
    """Who has a token of the Kubernetes API reaches it; no label chooses it, so by a block of addresses."""
    for pod in cluster.pods:
        if pod.spec.get("automountServiceAccountToken") and not _lets_outside(cluster, pod, 443):
            yield f"{pod.maker}: no policy lets it out to the Kubernetes API"


def store(cluster: Cluster) -> Iterator[str]:
    """Where a settings file names a store, whoever has its login reaches it: inside of the cluster, or outside over TLS."""
    if not any(_STORE.search(text) for item in cluster.of("ConfigMap") for text in content_of(item).values()):
        return
    for pod in cluster.pods:
        for container in pod.spec["containers"]:
            if _STORE_LOGIN not in [source.get("secretRef", {}).get("name") for source in container.get("envFrom", [])]:
                continue
            values = environment_of(cluster, pod, container)
            inside = Target(values.get("store_namespace", ""), {}, int(values.get("store_pod_port", 0)))
            services = [item for item in cluster.all if item["kind"] == "Service" and space_of(item) == inside.namespace]
            if services and not lets_out(cluster, pod, inside):
                yield f"{pod.maker}: no policy lets it out to the store: port {inside.port} of namespace {inside.namespace}"
            if not services and not _lets_outside(cluster, pod, 443):
                yield f"{pod.maker}: no policy lets it out to a store outside of the cluster"


def scraping(cluster: Cluster) -> Iterator[str]:
    """Prometheus is let in at what a ServiceMonitor names."""
    spaces = {
        content_of(item)["monitoring_namespace"] for item in cluster.of("ConfigMap") if "monitoring_namespace" in content_of(item)
    }
    for monitor in cluster.of("ServiceMonitor"):
        for service in [
            one for one in cluster.of("Service") if matches(monitor["spec"]["selector"], one["metadata"].get("labels", {}))
        ]:
            for target in [_target(cluster, service, offered) for offered in service["spec"]["ports"]]:
                for space in spaces:
                    if not lets_in(cluster, target, space, {}):
                        yield f"{said(monitor)}: no policy lets namespace {space} in at {said(service)}"


def lets_out(cluster: Cluster, pod: Pod, target: Target) -> bool:
    """Whether the egress policies of `pod` let it out to `target`; without any, they do."""
    rules = _rules(cluster, pod.namespace, pod.labels, "Egress")
    return rules is None or any(
        _through(rule, target) and _to(cluster, rule.get("to"), pod.namespace, target.namespace, target.labels) for rule in rules
    )


def lets_in(cluster: Cluster, target: Target, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether the ingress policies of the pods at `target` let in a pod of that namespace; without any, they do."""
    rules = _rules(cluster, target.namespace, target.labels, "Ingress")
    return rules is None or any(
        _through(_numbered(cluster, rule, target), target) and _to(cluster, rule.get("from"), target.namespace, namespace, labels)
        for rule in rules
    )


def _lets_outside(cluster: Cluster, pod: Pod, port: int) -> bool:
    rules = _rules(cluster, pod.namespace, pod.labels, "Egress")
    outside = Target("", {}, port)
    return rules is None or any(
        _through(rule, outside) and any("ipBlock" in peer for peer in rule.get("to", [{"ipBlock": {}}])) for rule in rules
    )


def _rules(cluster: Cluster, namespace: str, labels: Mapping[str, str], way: str) -> list[Object] | None:
    """Rules of all policies that choose the pod; None when none does, and nothing is closed."""
    policies = [item["spec"] for item in cluster.of("NetworkPolicy") if space_of(item) == namespace]
    policies = [spec for spec in policies if way in spec["policyTypes"] and matches(spec["podSelector"], labels)]
    return [rule for spec in policies for rule in spec.get(way.lower(), [])] if policies else None


def _through(rule: Object, target: Target) -> bool:
    if "ports" not in rule or target.port is None:
        return True
    return any(
        one.get("protocol", "TCP") == target.protocol
        and ("port" not in one or one["port"] == target.port or one["port"] <= target.port <= one.get("endPort", one["port"]))
        for one in rule["ports"]
    )


def _numbered(cluster: Cluster, rule: Object, target: Target) -> Object:
    """The rule with names of ports replaced by the numbers that the pods at `target` give them."""
    known = {name: port for pod in cluster.pods if pod.labels == target.labels for name, port in pod.container_ports.items()}
    return (
        {**rule, "ports": [{**one, "port": known.get(one["port"], one["port"])} for one in rule["ports"]]}
        if "ports" in rule
        else rule
    )


def _to(cluster: Cluster, peers: list[Object] | None, own: str, namespace: str, labels: Mapping[str, str]) -> bool:
    if not peers:
        return True
    for peer in peers:
        spaces, pods = peer.get("namespaceSelector"), peer.get("podSelector")
        in_space = namespace == own if spaces is None else matches(spaces, cluster.namespace_labels(namespace))
        if "ipBlock" not in peer and in_space and (pods is None or matches(pods, labels)):
            return True
    return False
