"""Every reference of the overlays leads somewhere, and each kind of broken one is found: whatever is taken away is missed."""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.references import broken
from tests.deploy.test_kubernetes import GIVEN, OVERLAYS, rendered_job
from tests.helpers.deploy_files import DEPLOY, ROOT, made, manifests

Objects = list[dict[str, Any]]


def applied(overlay: str = "gpu") -> Objects:
    return [*manifests(overlay), *([rendered_job()] if overlay == "gpu" else [])]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """The overlay for GPUs with monitoring, and a job as Prefect makes it."""
    monitored = made(tmp_path_factory.mktemp("overlay"), resources=["overlays/gpu"], components=["components/monitoring"])
    return [*monitored, rendered_job()]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_reference_leads_somewhere(overlay: str) -> None:
    assert broken(applied(overlay), GIVEN) == []


def test_every_reference_leads_somewhere_with_monitoring(everything: Objects) -> None:
    assert broken(everything, GIVEN) == []


def named(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    return next(item for item in objects if (item["kind"], item["metadata"].get("name")) == (kind, name))


#: What nobody refers to. Without `deny-all` all is open, which breaks no reference: another test asks for it.
_ENDS = {"Namespace", "Deployment", "CronJob", "Job", "RoleBinding", "PodDisruptionBudget", "PrometheusRule", "ServiceMonitor"}
_ALONE = {"deny-all", "calig-dashboard", "worker-to-outside"}


def test_whatever_is_taken_away_is_missed(everything: Objects) -> None:
    taken = [item for item in everything if item["kind"] not in _ENDS and item["metadata"]["name"] not in _ALONE]
    assert {item["kind"] for item in taken} == {
        "ConfigMap", "NetworkPolicy", "PersistentVolumeClaim", "Role", "Service", "ServiceAccount",
    }  # fmt: skip
    missed = [item for item in taken if broken([one for one in everything if one is not item], GIVEN)]
    assert [item["metadata"]["name"] for item in taken if item not in missed] == []


def test_whatever_others_do_not_bring_is_missed(everything: Objects) -> None:
    others = [item for item in GIVEN if item["metadata"]["name"] not in {"kube-dns", "dns-default", "minio"}]
    assert len(others) == 8
    for item in others:
        assert broken(everything, [one for one in GIVEN if one is not item]), item["metadata"]["name"]


def _without(place: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of every rule, peer and port of a policy."""
    for key, inner in place.items() if isinstance(place, dict) else enumerate(place) if isinstance(place, list) else ():
        if isinstance(key, int) and path[-1] in {"egress", "ingress", "to", "from", "ports"}:
            yield (*path, key)
        yield from _without(inner, (*path, key))


def test_every_rule_and_peer_and_port_of_the_policies_is_needed(everything: Objects) -> None:
    """Blocks of addresses are not: nothing here says what is there."""
    unneeded = []
    for index, item in enumerate(everything):
        for path in _without(item["spec"]) if item["kind"] == "NetworkPolicy" else ():
            changed = copy.deepcopy(everything)
            place = changed[index]["spec"]
            for key in path[:-1]:
                place = place[key]
            gone = place.pop(path[-1])
            if not place and path[-2] in {"to", "from", "ports"}:
                place.append({"ipBlock": {"cidr": "192.0.2.1/32"}} if path[-2] != "ports" else {"protocol": "TCP", "port": 1})
            if not broken(changed, GIVEN):
                unneeded.append((item["metadata"]["name"], gone))
    assert [one for one in unneeded if "ipBlock" not in str(one[1]) and one[1].get("port") not in {443, 6443}] == []


def change(kind: str, name: str, *path: Any, to: Any) -> Callable[[Objects], None]:
    def changed(objects: Objects) -> None:
        place = named(objects, kind, name)
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return changed


_POD = ("spec", "template", "spec")
_CONTAINER = (*_POD, "containers", 0)
_SPREAD = (*_POD, "topologySpreadConstraints", 0, "labelSelector")
_LABELS = ("spec", "template", "metadata", "labels")
_SETUP = ("spec", "jobTemplate", *_POD, "containers", 0)


def environment(name: str, value: str) -> Callable[[Objects], None]:
    def changed(objects: Objects) -> None:
        for item in objects:
            if item["kind"] == "ConfigMap" and name in item["data"]:
                item["data"][name] = value

    return changed


def key(ending: str, old: str, new: str) -> Callable[[Objects], None]:
    """Give a key of a config map another name."""

    def changed(objects: Objects) -> None:
        for item in objects:
            if item["kind"] == "ConfigMap" and item["metadata"]["name"].startswith(ending):
                item["data"][new] = item["data"].pop(old)

    return changed


@pytest.mark.parametrize(
    ("mutation", "said"),
    [
        (change("Deployment", "calig-worker", *_POD, "serviceAccountName", to="x"), "no service account x"),
        (change("Deployment", "calig-worker", *_CONTAINER, "envFrom", 0, to={"configMapRef": {"name": "x"}}), "no ConfigMap x"),
        (change("Deployment", "calig-worker", *_CONTAINER, "envFrom", 2, "secretRef", "name", to="x"), "no Secret x"),
        (change("Deployment", "calig-worker", *_CONTAINER, "volumeMounts", 0, "name", to="x"), "mounts no volume of its own: x"),
        (change("Deployment", "calig-worker", *_CONTAINER, "volumeMounts", 0, "mountPath", to="/x"), "where nothing is mounted"),
        (change("Deployment", "calig-worker", *_POD, "volumes", 0, "secret", "items", to=[{"key": "x"}]), "has no key x"),
        (change("Deployment", "calig-worker", *_CONTAINER, "env", 0, "value", to="/run/secrets/prefect/x"), "no file /run"),
        (
            change("Deployment", "calig-worker", *_CONTAINER, "env", 0, to={
                "name": "A", "valueFrom": {"secretKeyRef": {"name": "calig-prefect", "key": "x"}}}),
            "Secret calig-prefect has no key x",
        ),
        (change("Deployment", "calig-listener", *_CONTAINER, "ports", 0, "name", to="x"), "asks at a port that no container has"),
        (change("Deployment", "calig-listener", *_SPREAD, "matchLabels", "a", to="b"), "a topology constraint chooses no pod"),
        (change("Deployment", "calig-listener", "spec", "selector", "matchLabels", to={"a": "b"}), "its selector chooses no pod"),
        (change("Service", "calig-listener", "spec", "ports", 0, "targetPort", to="x"), "has no port x"),
        (change("Service", "calig-listener", "spec", "ports", 0, "port", to=1), "the service calig-listener has no port 8080"),
        (change("Service", "calig-listener", "metadata", "labels", to={}), "no service has the labels"),
        (change("ServiceMonitor", "calig-listener", "spec", "endpoints", 0, "port", to="x"), "and the port x"),
        (change("PodDisruptionBudget", "calig-listener", "spec", "selector", to={"matchLabels": {"a": "b"}}), "chooses no pod"),
        (change("RoleBinding", "calig-worker-gpu", "roleRef", "name", to="x"), "no role x"),
        (change("RoleBinding", "calig-worker-gpu", "subjects", 0, "name", to="x"), "no service account x"),
        (change("ServiceAccount", "calig-job", "imagePullSecrets", 0, "name", to="x"), "no pull secret x"),
        (change("CronJob", "calig-setup", *_SETUP, "args", 2, to="--prefect-file=/etc/calig-job/x"), "no file /etc/calig-job/x"),
        (change("CronJob", "calig-setup", *_SETUP, "args", 2, to="--x=$(x)"), r"no variable x: --x=\$\(x\)"),
        (change("CronJob", "calig-setup", *_SETUP, "args", 4, to="--webhook-url=http://x.calig:8080/"), "no service x"),
        (change("Deployment", "calig-listener", *_CONTAINER, "volumeMounts", 4, "mountPath", to="/x"), "no volume is mounted"),
        (environment("MLFLOW_TRACKING_URI", "http://x.mlflow:5000"), "no service x in namespace mlflow"),
        (environment("MLFLOW_TRACKING_URI", "http://mlflow-mlflow.mlflow"), "has no port 80"),
        (environment("MLFLOW_TRACKING_URI", "https://mlflow.example.org"), "lets it out of the cluster on port 443"),
        (environment("PREFECT_API_URL", "http://minio.minio:9000/api"), "no policy lets it out to port 9000"),
        (key("calig-watch", "settings.yaml", "x"), "no file /etc/calig/settings.yaml"),
        (key("calig-job-patch", "job-patch.yaml", "x"), "no file /etc/calig-job/job-patch.yaml"),
        (change("Deployment", "calig-worker", *_LABELS, to={}), "NetworkPolicy/worker-to-outside: its selector chooses no pod"),
    ],
)  # fmt: skip
def test_a_broken_reference_is_found_and_said(everything: Objects, mutation: Callable[[Objects], None], said: str) -> None:
    objects = copy.deepcopy(everything)
    mutation(objects)
    problems = broken(objects, GIVEN)
    assert problems
    assert re.search(said, "\n".join(problems)), problems


def test_addresses_of_this_machine_and_outside_need_no_service() -> None:
    objects = [item for item in applied("cpu") if item["kind"] != "NetworkPolicy"]
    for address in ("http://localhost:5000", "http://127.0.0.1:5000", "https://mlflow.example.org", "http://10.1.2.3:5000"):
        environment("MLFLOW_TRACKING_URI", address)(objects)
        assert broken(objects, GIVEN) == []


def test_the_script_says_what_leads_nowhere() -> None:
    def run(objects: Objects) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deploy.references"]
        return subprocess.run(command, cwd=ROOT, input=yaml.safe_dump_all(objects), capture_output=True, text=True, check=False)

    objects = manifests("cpu")
    assert (done := run(objects)).returncode == 0, done.stdout + done.stderr
    objects.remove(named(objects, "Service", "calig-listener"))
    done = run(objects)
    assert done.returncode == 1
    assert (
        "CronJob/calig-setup: --webhook-url http://calig-listener.calig:8080: there is no service calig-listener" in done.stdout
    )
    assert run([]).returncode == 1, "nothing was looked at"


def test_the_page_says_how_to_look_at_an_overlay_of_ones_own(tmp_path: Path) -> None:
    """The block that makes one, as it stands, in a copy of the folder."""
    page = (DEPLOY / "docs" / "how-to" / "cluster.md").read_text(encoding="utf-8")
    (block,) = [one for one in re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL) if "cp -r" in one]
    for folder in ("k8s", "references"):
        shutil.copytree(DEPLOY / folder, tmp_path / "deploy" / folder)
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=tmp_path,
        env={"PATH": programs, "EDITOR": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "27 objects, 0 references lead nowhere\n"), done.stderr
