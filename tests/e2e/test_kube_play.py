"""The Kubernetes base, started by `podman kube play` with the servers of overlays/dev: worker and listener explain a version.

Podman makes pods of Deployments, config maps, secrets and claims. It has no services, policies or cron jobs: all pods share this
machine's network, so the ports of the manifests have to be free, and setup is started as the pod that its cron job would make.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from mlflow import MlflowClient

from components import registry
from tests.e2e.engine import IMAGE, LIMIT_S, NEEDS_PODMAN, PODMAN, build_image, said, verdict_of, wait_for, write_rows
from tests.helpers.deploy_files import made, manifests
from tests.helpers.tiny_models import save_tiny_bert
from tests.helpers.tracking import connected

MLFLOW, PREFECT, LISTENER = "http://127.0.0.1:5000", "http://127.0.0.1:4200", "http://127.0.0.1:8080"
PORTS = (5000, 4200, 8080, 8081)
VOLUMES = ("calig-runs", "calig-data", "calig-signing", "calig-webhook")
#: Ports would be mapped, which podman refuses on the machine's own network; its probes need curl, so the test asks instead.
_OTHERWISE = ("ports", "startupProbe", "livenessProbe", "readinessProbe")
Objects = list[dict[str, Any]]

pytestmark = NEEDS_PODMAN


class Cluster(NamedTuple):
    """The overlay as podman takes it, the folder for its files, and the pods that were started."""

    folder: Path
    objects: Objects
    pods: list[str]

    def of(self, *kinds: str) -> Objects:
        return [item for item in self.objects if item["kind"] in kinds]

    def play(self, name: str, objects: Objects) -> None:
        """Start pods, with the config maps that they name."""
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump_all([*self.of("ConfigMap"), *objects]), encoding="utf-8")
        self.pods.extend(pod_of(item) for item in objects if item["kind"] in {"Deployment", "Pod"})
        podman("kube", "play", "--network=host", str(file))

    def deployment(self, name: str) -> Objects:
        return [item for item in self.of("Deployment") if item["metadata"]["name"] == name]

    def logs(self) -> str:
        """The last lines of all containers."""
        names = podman("ps", "--all", "--format={{.Names}}").split()
        ours = [name for name in names if any(name.startswith(pod) for pod in self.pods)]
        return "\n".join(f"=== {name}\n{said([*PODMAN, 'logs', '--tail=60', name])}" for name in ours)


def pod_of(item: dict[str, Any]) -> str:
    """The name that podman gives the pod."""
    return item["metadata"]["name"] + ("-pod-0" if item["kind"] == "Deployment" else "")


def podman(*arguments: str) -> str:
    done = subprocess.run([*PODMAN, *arguments], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, f"podman {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def volume(name: str) -> Path:
    return Path(podman("volume", "inspect", "--format={{.Mountpoint}}", name).strip())


def for_podman(objects: Objects) -> Objects:
    """Deployments, config maps and claims, and setup as a pod."""
    taken = [copy.deepcopy(item) for item in objects if item["kind"] in {"ConfigMap", "Deployment", "PersistentVolumeClaim"}]
    (setup,) = [item["spec"]["jobTemplate"]["spec"]["template"] for item in objects if item["kind"] == "CronJob"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**setup["metadata"], "name": "calig-setup"}, "spec": setup["spec"]}
    (container,) = pod["spec"]["containers"]
    container["args"] = [text.replace("calig-listener.$(NAMESPACE):8080", "127.0.0.1:8080") for text in container["args"]]
    container["env"] = [entry for entry in container["env"] if entry["name"] != "NAMESPACE"]  # podman knows no field of that name
    for item in taken:
        if item["kind"] == "Deployment":
            item["spec"]["replicas"] = 1  # all share the ports of one machine
    for spec in [pod["spec"], *(item["spec"]["template"]["spec"] for item in taken if item["kind"] == "Deployment")]:
        container = spec["containers"][0]
        container["image"] = IMAGE
        for field in _OTHERWISE:
            container.pop(field, None)
        for one in spec["volumes"]:
            if "secret" in one:
                one["secret"]["optional"] = False  # podman 4.3 falls over one that does not say
    return [*taken, pod]


def secrets(folder: Path) -> Objects:
    """The two that the overlay names: what MLflow signs webhooks with, and a signing key."""
    calig = str(Path(sys.executable).parent / "calig")
    trust = ["trust", "signing-key.pem.pub", "--name=pipeline", "--for=records", "--trusted=trusted-keys.yaml"]
    for command in (["create", "signing-key.pem"], trust):
        subprocess.run([calig, "keys", *command], cwd=folder, check=True, capture_output=True)
    files = {name: (folder / name).read_bytes() for name in ("signing-key.pem", "trusted-keys.yaml")}
    contents = {"calig-signing": files, "calig-webhook": {"secret": b"a secret of this test, long enough"}}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "data": {key: base64.b64encode(value).decode() for key, value in content.items()},
        }
        for name, content in contents.items()
    ]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    build_image()
    for port in PORTS:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, f"port {port} of the manifests is taken on this machine"
    folder = tmp_path_factory.mktemp("overlay")
    values = [f"MLFLOW_TRACKING_URI={MLFLOW}", f"PREFECT_API_URL={PREFECT}/api"]
    generator = {"name": "calig-environment", "behavior": "merge", "literals": values}
    base = made(
        folder,
        resources=["base"],
        components=["components/prefect-without-login"],
        transformers=["values"],
        configMapGenerator=[generator],
    )
    objects = [*base, *(item for item in manifests("dev") if item["metadata"]["name"] in {"mlflow", "prefect-server"})]
    started = Cluster(folder, for_podman(objects), [])
    try:
        yield started
    finally:
        for command in (
            ["pod", "rm", "--force", *started.pods],
            ["secret", "rm", *VOLUMES[2:]],
            ["volume", "rm", "--force", *VOLUMES],
        ):
            subprocess.run([*PODMAN, *command], capture_output=True, check=False)


def test_the_base_explains_a_registered_version(cluster: Cluster) -> None:
    cluster.play("secrets", secrets(cluster.folder))
    cluster.play("claims", cluster.of("PersistentVolumeClaim"))
    (volume("calig-data") / "validation").mkdir()
    write_rows(volume("calig-data") / "validation" / "reviews.jsonl")
    cluster.play("mlflow", cluster.deployment("mlflow"))
    cluster.play("prefect", cluster.deployment("prefect-server"))
    wait_for(f"{MLFLOW}/health", cluster.logs)
    wait_for(f"{PREFECT}/api/health", cluster.logs)
    cluster.play("setup", cluster.of("Pod"))
    assert podman("wait", "calig-setup-setup").strip() == "0", cluster.logs()
    cluster.play("listener", cluster.deployment("calig-listener"))
    cluster.play("worker", cluster.deployment("calig-worker"))
    _make_secrets_as_kubernetes_would(cluster.folder)
    wait_for(f"{LISTENER}/readyz", cluster.logs)
    wait_for("http://127.0.0.1:8081/health", cluster.logs)
    with connected(MLFLOW):
        registry.register(save_tiny_bert(cluster.folder / "model"), name="reviews", experiment="training", tags={}, metrics={})
        tags = verdict_of(MlflowClient(MLFLOW), cluster.logs)
    assert tags["calig.verdict"] in {"pass", "fail", "inconclusive"}
    assert tags["calig.attempts"] == "1"
    print(cluster.logs())
    _is_restricted("calig-worker-pod-0-worker")


def _make_secrets_as_kubernetes_would(folder: Path) -> None:
    """Podman 4.3 leaves values in base64, and without a defaultMode everybody may read the key, which calig refuses."""
    for file in volume("calig-signing").iterdir():
        file.write_bytes((folder / file.name).read_bytes())
        os.chown(file, 10001, 10001)
        file.chmod(0o440)


def _is_restricted(container: str) -> None:
    (found,) = json.loads(podman("inspect", container))
    assert found["HostConfig"]["ReadonlyRootfs"] is True
    assert found["Config"]["User"].startswith("10001")
    assert found["EffectiveCaps"] in (None, [])
