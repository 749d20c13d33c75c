"""Names, keys, files, labels and ports that objects refer to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from deploy.references.objects import Cluster, Object, Pod, content_of, environment_of, matches, said, space_of

_PATH = re.compile(r"(?<![\w./:])/(?:etc|run|data|var)/[\w./-]*\w")

#: Data sets: whoever reads the watch file also reads their digests. Other paths of that file are read by one process only.
_DATA = "/data/"


def names_in_pods(cluster: Cluster) -> Iterator[str]:
    """Service account, volumes and mounts of every pod."""
    for pod in cluster.pods:
        account = pod.spec.get("serviceAccountName", "default")
        if account != "default" and cluster.find("ServiceAccount", account, pod.namespace) is None:
            yield f"{pod.maker}: no service account {account}"
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        for volume in volumes.values():
            yield from _volume(cluster, pod, volume)
        mounted = {mount["name"] for container in pod.spec["containers"] for mount in container.get("volumeMounts", [])}
        yield from (f"{pod.maker}: mounts no volume of its own: {name}" for name in mounted - volumes.keys())
        yield from (f"{pod.maker}: the volume {name} is mounted nowhere" for name in volumes.keys() - mounted)


def _volume(cluster: Cluster, pod: Pod, volume: Object) -> Iterator[str]:
    claim = volume.get("persistentVolumeClaim", {}).get("claimName")
    if claim and cluster.find("PersistentVolumeClaim", claim, pod.namespace) is None:
        yield f"{pod.maker}: no volume claim {claim}"
    for kind, name, source in _held(volume):
        yield from _keys(cluster, pod, kind, name, {item["key"] for item in source.get("items", [])})


def _held(volume: Object) -> Iterator[tuple[str, str, Object]]:
    """Kind, name and reference of the config map or secret that a volume shows."""
    if "configMap" in volume:
        yield "ConfigMap", volume["configMap"]["name"], volume["configMap"]
    if "secret" in volume:
        yield "Secret", volume["secret"]["secretName"], volume["secret"]


def _keys(cluster: Cluster, pod: Pod, kind: str, name: str, keys: set[str]) -> Iterator[str]:
    """Optional ones, too: what is optional is whether somebody makes it, not how it is called."""
    item = cluster.find(kind, name, pod.namespace)
    if item is None:
        yield f"{pod.maker}: no {kind} {name}"
    else:
        yield from (f"{pod.maker}: {kind} {name} has no key {key}" for key in keys - content_of(item).keys())


def environment_sources(cluster: Cluster) -> Iterator[str]:
    """Config maps and secrets that variables come from."""
    for pod in cluster.pods:
        for container in pod.spec["containers"]:
            for source in container.get("envFrom", []):
                kind, reference = _source(source, "Ref")
                yield from _keys(cluster, pod, kind, reference["name"], set())
            for entry in container.get("env", []):
                value = entry.get("valueFrom", {})
                if "configMapKeyRef" in value or "secretKeyRef" in value:
                    kind, reference = _source(value, "KeyRef")
                    yield from _keys(cluster, pod, kind, reference["name"], {reference["key"]})


def _source(source: Object, ending: str) -> tuple[str, Object]:
    kind = "ConfigMap" if f"configMap{ending}" in source else "Secret"
    reference: Object = source[f"{'configMap' if kind == 'ConfigMap' else 'secret'}{ending}"]
    return kind, reference


def files(cluster: Cluster) -> Iterator[str]:
    """Paths in variables, arguments and mounted texts: below a mounted config map or secret they name one of its keys."""
    for pod in cluster.pods:
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        for container in pod.spec["containers"]:
            shown = _shown(cluster, pod, container, volumes)
            environment = environment_of(cluster, pod, container)
            texts = [
                *environment.values(),
                *container.get("args", []),
                *(text for held in shown.values() for text in held.values()),
            ]
            for path in sorted({path for text in texts for path in _PATH.findall(text)}):
                folder, _, key = path.rpartition("/")
                if folder in shown and key not in shown[folder]:
                    yield f"{pod.maker}: no file {path}: what is mounted there has no such key"
                if path.startswith(_DATA) and not any(path.startswith(f"{mount}/") for mount in _mounts(container)):
                    yield f"{pod.maker}: no file {path}: no volume is mounted there"
            for name, path in environment.items():
                if name.endswith("_FILE") and path.rpartition("/")[0] not in shown:
                    yield f"{pod.maker}: {name} names a file where nothing is mounted: {path}"


def _mounts(container: Object) -> list[str]:
    return [mount["mountPath"] for mount in container.get("volumeMounts", [])]


def _shown(cluster: Cluster, pod: Pod, container: Object, volumes: Mapping[str, Object]) -> dict[str, dict[str, str]]:
    """Contents of the mounted config maps and secrets, by the folder where they are mounted."""
    found: dict[str, dict[str, str]] = {}
    for mount in container.get("volumeMounts", []):
        for kind, name, _ in _held(volumes.get(mount["name"], {})):
            item = cluster.find(kind, name, pod.namespace)
            found[mount["mountPath"]] = {} if item is None else content_of(item)
    return found


def accounts(cluster: Cluster) -> Iterator[str]:
    """Pull secrets of service accounts; roles and accounts of bindings."""
    for item in cluster.of("ServiceAccount"):
        for reference in item.get("imagePullSecrets", []):
            if cluster.find("Secret", reference["name"], space_of(item)) is None:
                yield f"{said(item)}: no pull secret {reference['name']}"
    for item in cluster.of("RoleBinding"):
        role = item["roleRef"]
        if role["kind"] == "Role" and cluster.find("Role", role["name"], space_of(item)) is None:
            yield f"{said(item)}: no role {role['name']}"
        for subject in item["subjects"]:
            if cluster.find("ServiceAccount", subject["name"], subject.get("namespace", space_of(item))) is None:
                yield f"{said(item)}: no service account {subject['name']}"


# Labels and ports


def selectors(cluster: Cluster) -> Iterator[str]:
    """Whoever chooses pods by their labels chooses at least one."""
    for item in cluster.objects:
        for where, selector in _selectors(item):
            if not cluster.chosen(selector, space_of(item)):
                yield f"{said(item)}: {where} chooses no pod"
    for item in cluster.of("ServiceMonitor"):
        services = [one for one in cluster.of("Service") if matches(item["spec"]["selector"], one["metadata"].get("labels", {}))]
        names = {port.get("name") for service in services for port in service["spec"]["ports"]}
        yield from (
            f"{said(item)}: no service has the labels and the port {endpoint['port']}"
            for endpoint in item["spec"]["endpoints"]
            if endpoint["port"] not in names
        )


def _selectors(item: Object) -> Iterator[tuple[str, Object]]:
    spec = item.get("spec", {})
    match item["kind"]:
        case "Service" if "selector" in spec:
            yield "its selector", {"matchLabels": spec["selector"]}
        case "NetworkPolicy" if spec["podSelector"]:
            yield "its selector", spec["podSelector"]
        case "Deployment" | "StatefulSet" | "DaemonSet" | "PodDisruptionBudget":
            yield "its selector", spec["selector"]
    for constraint in spec.get("template", {}).get("spec", {}).get("topologySpreadConstraints", []):
        yield "a topology constraint", constraint["labelSelector"]


def ports(cluster: Cluster) -> Iterator[str]:
    """Named ports of probes, services and policies are ports of the containers."""
    for pod in cluster.pods:
        for container in pod.spec["containers"]:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                wanted = container.get(probe, {}).get("httpGet", {}).get("port")
                if isinstance(wanted, str) and wanted not in pod.container_ports:
                    yield f"{pod.maker}: its {probe} asks at a port that no container has: {wanted}"
    for item in [*cluster.of("Service"), *cluster.of("NetworkPolicy")]:
        for pod in [pod for _, selector in _selectors(item) for pod in cluster.chosen(selector, space_of(item))]:
            known = {*pod.container_ports, *pod.container_ports.values()}
            yield from (f"{said(item)}: {pod.maker} has no port {port}" for port in _pod_ports(item) if port not in known)


def _pod_ports(item: Object) -> list[int | str]:
    if item["kind"] == "Service":
        return [port.get("targetPort", port["port"]) for port in item["spec"]["ports"]]
    return [port["port"] for rule in item["spec"].get("ingress", []) for port in rule.get("ports", [])]


def variables(cluster: Cluster) -> Iterator[str]:
    """Arguments name variables that the container has: Kubernetes leaves others standing as they are."""
    for pod in cluster.pods:
        for container in pod.spec["containers"]:
            known = environment_of(cluster, pod, container)
            for argument in container.get("args", []):
                yield from (
                    f"{pod.maker}: no variable {name}: {argument}"
                    for name in re.findall(r"\$\((\w+)\)", argument)
                    if name not in known
                )
