"""The manifests by Kubernetes' own schemas, and by what they promise: restricted, least privilege, every name leads somewhere."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import kubernetes_validate
import pytest

from tests.helpers.deploy_files import K8S, load_all, manifests, pod_specs

OBJECTS = manifests()
PODS = pod_specs()
KUBERNETES = "1.31"  # the oldest version that is promised; newer ones accept what it accepts


def rendered_job(**job_variables: Any) -> dict[str, Any]:
    """The job that prefect-kubernetes makes of the template for one flow run."""
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    template = json.loads((K8S / "job-template.json").read_text(encoding="utf-8"))
    nobody = PrefectClient("http://127.0.0.1:9/api")  # asked for nothing: the template names no blocks
    job = asyncio.run(KubernetesWorkerJobConfiguration.from_template_and_values(template, job_variables, client=nobody))
    job.prepare_for_flow_run(FlowRun(id=uuid.uuid4(), name="a run", flow_id=uuid.uuid4()))
    return job.job_manifest


def named(kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in OBJECTS if item["kind"] == kind}


@pytest.mark.parametrize("item", OBJECTS, ids=lambda item: f"{item['kind']}/{item['metadata']['name']}")
def test_the_schema_is_kept(item: dict[str, Any]) -> None:
    kubernetes_validate.validate(item, KUBERNETES, strict=True)


def test_the_schema_of_the_examples_and_of_jobs_is_kept() -> None:
    for item in [*load_all(K8S / "secrets.example.yaml"), rendered_job()]:
        kubernetes_validate.validate(item, KUBERNETES, strict=True)


def test_a_misspelt_field_would_be_noticed() -> None:
    broken = {**OBJECTS[0], "sepc": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="sepc"):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


def test_the_kustomization_lists_every_manifest() -> None:
    (kustomization,) = load_all(K8S / "kustomization.yaml")
    there = {file.name for file in K8S.glob("*.yaml")} - {"kustomization.yaml", "secrets.example.yaml"}
    assert set(kustomization["resources"]) == there
    assert all((K8S / name).exists() for generator in kustomization["configMapGenerator"] for name in generator["files"])


def test_every_process_is_looked_at() -> None:
    assert set(PODS) == {"calig-setup", "calig-listener", "calig-worker", "calig-worker-gpu"}


def all_pods() -> dict[str, dict[str, Any]]:
    return {**PODS, "job": rendered_job()["spec"]["template"]["spec"]}


@pytest.mark.parametrize("name", [*PODS, "job"])
def test_pods_are_restricted(name: str) -> None:
    """Pod Security Standards, level restricted, and a read-only root file system."""
    pod = all_pods()[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all(set(volume) & {"configMap", "emptyDir", "secret", "persistentVolumeClaim"} for volume in pod["volumes"])
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", [*PODS, "job"])
def test_names_in_pods_lead_somewhere(name: str) -> None:
    pod = all_pods()[name]
    (kustomization,) = load_all(K8S / "kustomization.yaml")
    secrets = {item["metadata"]["name"] for item in load_all(K8S / "secrets.example.yaml")}
    config_maps = named("ConfigMap") | {generator["name"] for generator in kustomization["configMapGenerator"]}
    assert pod["serviceAccountName"] in named("ServiceAccount")
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for volume in volumes.values():
        assert volume.get("configMap", {"name": "calig-watch"})["name"] in config_maps
        assert volume.get("secret", {"secretName": "calig-webhook"})["secretName"] in secrets
        claim = volume.get("persistentVolumeClaim", {"claimName": "calig-runs"})["claimName"]
        assert claim in named("PersistentVolumeClaim")
    for container in pod["containers"]:
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert set(mounts.values()) == set(volumes)
        for source in container["envFrom"]:
            assert source.get("configMapRef", {"name": "calig-environment"})["name"] in config_maps
            assert source.get("secretRef", {"name": "calig-prefect"})["name"] in secrets
        ports = {port["name"] for port in container.get("ports", [])}
        probes = [container[key] for key in ("startupProbe", "livenessProbe", "readinessProbe") if key in container]
        assert all(probe["httpGet"]["port"] in ports for probe in probes)
        _files_are_mounted(container, mounts, volumes)


def _files_are_mounted(container: dict[str, Any], mounts: dict[str, str], volumes: dict[str, Any]) -> None:
    keys = {item["metadata"]["name"]: set(item["stringData"]) for item in load_all(K8S / "secrets.example.yaml")}
    for entry in container["env"]:
        if entry["name"].endswith("_FILE"):
            folder, _, key = entry["value"].rpartition("/")
            assert key in keys[volumes[mounts[folder]]["secret"]["secretName"]]


def test_only_the_worker_that_makes_jobs_may_speak_to_kubernetes() -> None:
    assert [name for name, pod in all_pods().items() if pod["automountServiceAccountToken"]] == ["calig-worker-gpu"]
    assert not named("ClusterRole") | named("ClusterRoleBinding")
    (role,) = [item for item in OBJECTS if item["kind"] == "Role"]
    allowed = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert {("jobs", "create"), ("pods", "list"), ("pods/log", "get")} <= allowed
    assert not {resource for resource, _ in allowed} & {"*", "secrets", "pods/exec", "configmaps", "serviceaccounts"}
    assert "*" not in {verb for _, verb in allowed}
    (binding,) = [item for item in OBJECTS if item["kind"] == "RoleBinding"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert [subject["name"] for subject in binding["subjects"]] == [PODS["calig-worker-gpu"]["serviceAccountName"]]


def test_selectors_choose_pods_and_everything_else_is_denied() -> None:
    labels = [item["spec"]["template"]["metadata"]["labels"] for item in OBJECTS if item["kind"] in {"Deployment", "Job"}]
    labels.append(rendered_job()["spec"]["template"]["metadata"]["labels"])
    policies = [item for item in OBJECTS if item["kind"] == "NetworkPolicy"]
    (denying,) = [item["spec"] for item in policies if not item["spec"]["podSelector"]]
    assert denying == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    selectors = [item["spec"]["podSelector"]["matchLabels"] for item in policies if item["spec"]["podSelector"]]
    selectors += [item["spec"]["selector"] for item in OBJECTS if item["kind"] == "Service"]
    selectors += [
        item["spec"]["selector"]["matchLabels"] for item in OBJECTS if item["kind"] in {"PodDisruptionBudget", "Deployment"}
    ]
    for selector in selectors:
        assert any(selector.items() <= pod.items() for pod in labels), selector


def test_a_job_takes_what_the_deployment_asks_for() -> None:
    container = rendered_job(memory="8Gi", gpus=2)["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"] == {
        "requests": {"cpu": "4", "memory": "8Gi"},
        "limits": {"memory": "8Gi", "nvidia.com/gpu": 2},
    }
    assert container["args"] == ["prefect", "flow-run", "execute"]


def test_deployments_ask_for_nothing_that_the_template_lacks() -> None:
    template = json.loads((K8S / "job-template.json").read_text(encoding="utf-8"))
    (deployments,) = load_all(K8S.parent / "prefect.yaml")
    for deployment in deployments["deployments"]:
        if deployment["work_pool"]["name"] == "calig-gpu":
            assert set(deployment["work_pool"].get("job_variables", {})) <= set(template["variables"]["properties"])


def test_the_webhook_goes_to_the_service_and_servers_are_let_out_to() -> None:
    args = " ".join(PODS["calig-setup"]["containers"][0]["args"])
    (service,) = [item for item in OBJECTS if item["kind"] == "Service"]
    address = f"{service['metadata']['name']}.calig:{service['spec']['ports'][0]['port']}"
    assert f"--webhook-url=http://{address}/webhooks/mlflow" in args
    environment = load_all(K8S / "config.yaml")[0]["data"]
    out = next(item for item in OBJECTS if item["metadata"]["name"] == "all-to-names-and-servers")["spec"]["egress"]
    reached = {
        (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for rule in out
        for peer in rule["to"]
        for port in rule["ports"]
    }
    for variable in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        host, port = environment[variable].split("/")[2].split(":")
        assert (host.split(".")[1], int(port)) in reached


def test_whoever_explains_has_the_signing_key_and_the_trusted_keys_and_nobody_else() -> None:
    for name, pod in all_pods().items():
        (container,) = pod["containers"]
        environment = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert ("CALIG_SIGNING_KEY_FILE" in environment) == (name in {"calig-worker", "job"}), name
        assert ("CALIG_SIGNING_KEY_FILE" in environment) == ("CALIG_TRUSTED_KEYS" in environment)
        for volume in pod["volumes"]:
            if volume.get("secret", {}).get("secretName") == "calig-signing":
                assert volume["secret"]["defaultMode"] == 0o440, "calig refuses a key that others can read"


def test_examples_of_secrets_hold_no_values() -> None:
    values = [value for item in load_all(K8S / "secrets.example.yaml") for value in item["stringData"].values()]
    assert values == [""] * len(values)
