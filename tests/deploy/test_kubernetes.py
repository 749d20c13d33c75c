"""The manifests by Kubernetes' own schemas, and by what they promise: restricted, least privilege, values in one place."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.references import broken
from deploy.references.objects import Cluster
from flows.setup import job_template
from tests.helpers.deploy_files import K8S, load_all, made, manifests, pod_specs

OVERLAYS = ("cpu", "gpu", "dev")
OBJECTS = manifests()
PODS = pod_specs()
PATCH = K8S / "components" / "gpu" / "job-patch.yaml"
GIVEN = [*load_all(K8S / "elsewhere.yaml"), *load_all(K8S / "secrets.example.yaml")]
KUBERNETES = "1.31"  # the oldest version that is promised; newer ones accept what it accepts


def job_of(patch: Path, defaults: dict[str, str], **job_variables: Any) -> dict[str, Any]:
    """The job that prefect-kubernetes makes of the template for one flow run of the deployment."""
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import Flow, FlowRun
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    template = job_template(patch, defaults)
    nobody = PrefectClient("http://127.0.0.1:9/api")  # asked for nothing: the template names no blocks
    job = asyncio.run(KubernetesWorkerJobConfiguration.from_template_and_values(template, job_variables, client=nobody))
    flow = Flow(id=uuid.uuid4(), name="attribute-shards")
    deployment = DeploymentResponse(id=uuid.uuid4(), name="attribute-shards", flow_id=flow.id, pull_steps=None)
    job.prepare_for_flow_run(FlowRun(id=uuid.uuid4(), name="a run", flow_id=flow.id), deployment, flow)
    return job.job_manifest


def rendered_job(**job_variables: Any) -> dict[str, Any]:
    return job_of(PATCH, {"namespace": "calig", "image": "registry.example/calig:0.1.0-cuda"}, **job_variables)


def named(kind: str) -> set[str]:
    return {item["metadata"]["name"] for item in OBJECTS if item["kind"] == kind}


def said(item: dict[str, Any]) -> str:
    return f"{item['kind']}/{item['metadata']['name']}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_schema_is_kept(overlay: str) -> None:
    objects = manifests(overlay)
    assert len(objects) > 15
    for item in objects:
        kubernetes_validate.validate(item, KUBERNETES, strict=True)


def test_the_schema_of_the_examples_and_of_jobs_is_kept() -> None:
    for item in [*GIVEN, rendered_job()]:
        kubernetes_validate.validate(item, KUBERNETES, strict=True)


def test_a_misspelt_field_would_be_noticed() -> None:
    broken_one = {**OBJECTS[0], "sepc": {}}
    with pytest.raises(kubernetes_validate.ValidationError, match="sepc"):
        kubernetes_validate.validate(broken_one, KUBERNETES, strict=True)


def test_every_file_is_used() -> None:
    for folder in [file.parent for file in K8S.rglob("kustomization.yaml")]:
        text = (folder / "kustomization.yaml").read_text(encoding="utf-8")
        assert [file.name for file in folder.iterdir() if file.name not in text and file.name != "kustomization.yaml"] == []


def test_every_process_is_looked_at() -> None:
    assert set(pod_specs("cpu")) == {"calig-setup", "calig-listener", "calig-worker"}
    assert set(PODS) == {"calig-setup", "calig-listener", "calig-worker", "calig-worker-gpu"}
    assert set(pod_specs("dev")) == {"calig-setup", "calig-listener", "calig-worker", "mlflow", "prefect-server"}


def all_pods() -> dict[str, dict[str, Any]]:
    return {**pod_specs("dev"), **PODS, "job": rendered_job()["spec"]["template"]["spec"]}


@pytest.mark.parametrize("name", [*PODS, "mlflow", "prefect-server", "job"])
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


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_denied_that_no_policy_names(overlay: str) -> None:
    policies = [item for item in manifests(overlay) if item["kind"] == "NetworkPolicy"]
    (denying,) = [item["spec"] for item in policies if item["metadata"]["name"] == "deny-all"]
    assert denying == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_a_job_takes_what_the_deployment_asks_for() -> None:
    pod = rendered_job(memory="8Gi", gpus=2, runtime_class="nvidia")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "4", "memory": "8Gi"},
        "limits": {"memory": "8Gi", "nvidia.com/gpu": 2},
    }
    assert container["args"] == ["prefect", "flow-run", "execute"]
    assert container["image"] == "registry.example/calig:0.1.0-cuda"
    assert pod["runtimeClassName"] == "nvidia"
    assert "runtimeClassName" not in rendered_job()["spec"]["template"]["spec"], "none unless a cluster has one"


def test_a_job_keeps_the_label_that_policies_choose_by() -> None:
    """Prefect writes labels of its own over those of the template: the deployment's name into app.kubernetes.io/name."""
    labels = rendered_job()["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "job"
    assert labels["app.kubernetes.io/name"] == "attribute-shards"


def test_deployments_ask_for_nothing_that_the_template_lacks() -> None:
    known = job_template(PATCH, {})["variables"]["properties"]
    (deployments,) = load_all(K8S.parent / "prefect.yaml")
    for deployment in deployments["deployments"]:
        if deployment["work_pool"]["name"] == "calig-gpu":
            assert set(deployment["work_pool"].get("job_variables", {})) <= set(known)


VALUES = {
    "image": "somewhere.example/ours:7",
    "pull_secret": "ours",
    "storage_class": "nfs",
    "MLFLOW_TRACKING_URI": "http://tracking.ml:80",
    "mlflow_namespace": "ml",
    "mlflow_pod_port": "5001",
    "PREFECT_API_URL": "http://orion.flows:4201/api",
    "prefect_namespace": "flows",
    "prefect_pod_port": "4201",
    "store_namespace": "objects",
    "store_pod_port": "9001",
    "monitoring_namespace": "watching",
    "gpu_image": "somewhere.example/ours:7-cuda",
    "runtime_class": "accelerated",
}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """An overlay that changes every value, in another namespace."""
    generator = {
        "name": "calig-environment",
        "behavior": "merge",
        "literals": [f"{name}={value}" for name, value in VALUES.items()],
    }
    return made(
        tmp_path_factory.mktemp("overlay"),
        namespace="elsewhere",
        resources=["base"],
        components=["components/gpu", "components/monitoring"],
        transformers=["values"],
        configMapGenerator=[generator],
    )


def test_a_value_set_once_is_everywhere(ours: list[dict[str, Any]]) -> None:
    defaults = dict(
        line.split("=", 1) for line in (K8S / "base" / "values.env").read_text().splitlines() if re.match(r"\w+=", line)
    )
    assert set(VALUES) == set(defaults) - {"CALIG_WATCH", "PREFECT_LOCAL_STORAGE_PATH"}, "every value is tried"
    pods = Cluster(ours, []).pods
    assert len(pods) == 4
    assert {container["image"] for pod in pods for container in pod.spec["containers"]} == {VALUES["image"]}
    accounts = [item["imagePullSecrets"] for item in ours if item["kind"] == "ServiceAccount"]
    assert accounts == [[{"name": VALUES["pull_secret"]}]] * 5
    claims = [item["spec"]["storageClassName"] for item in ours if item["kind"] == "PersistentVolumeClaim"]
    assert claims == [VALUES["storage_class"]] * 2
    policies = yaml.safe_dump([item["spec"] for item in ours if item["kind"] == "NetworkPolicy"])
    spaces = {VALUES[f"{server}_namespace"] for server in ("mlflow", "prefect", "store", "monitoring")}
    assert set(re.findall(r"kubernetes.io/metadata.name: (\S+)", policies)) == {"kube-system", "openshift-dns", *spaces}
    ports = {VALUES[f"{server}_pod_port"] for server in ("mlflow", "prefect", "store")}
    assert set(re.findall(r"port: (\S+)", policies)) == {"53", "5353", "443", "6443", "http", *ports}
    assert {item["metadata"].get("namespace") for item in ours} == {None, "elsewhere"}


def test_values_reach_the_jobs_by_setup(ours: list[dict[str, Any]]) -> None:
    (setup,) = [item for item in ours if item["kind"] == "CronJob"]
    args = setup["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"]
    known = {**VALUES, "NAMESPACE": "elsewhere"}
    filled = [re.sub(r"\$\((\w+)\)", lambda found: known[found[1]], argument) for argument in args]
    defaults = dict(one.removeprefix("--job-variable=").split("=", 1) for one in filled if one.startswith("--job-variable="))
    job = job_of(PATCH, defaults)
    pod = job["spec"]["template"]["spec"]
    assert job["metadata"]["namespace"] == "elsewhere"
    assert (pod["containers"][0]["image"], pod["runtimeClassName"]) == (VALUES["gpu_image"], VALUES["runtime_class"])
    (environment,) = [item["data"] for item in ours if item["metadata"]["name"] == "calig-job-environment"]
    assert VALUES.items() <= environment.items(), "jobs have the environment of all others"


def test_a_changed_configuration_rolls_the_pods_that_read_it_and_no_others(tmp_path: Path) -> None:
    def templates(**change: Any) -> dict[str, str]:
        objects = made(tmp_path, resources=["base"], transformers=["values"], configMapGenerator=[change])
        return {said(item): json.dumps(item["spec"]["template"]) for item in objects if item["kind"] == "Deployment"}

    same = {"name": "calig-environment", "behavior": "merge", "literals": ["runtime_class="]}
    before = templates(**same)
    assert templates(**same) == before
    (tmp_path / "watch.yaml").write_text("models: [{name: others}]\n", encoding="utf-8")
    watching = templates(name="calig-watch", behavior="merge", files=["watch.yaml"])
    assert {name for name in before if before[name] != watching[name]} == {"Deployment/calig-listener", "Deployment/calig-worker"}
    servers = templates(name="calig-environment", behavior="merge", literals=["MLFLOW_TRACKING_URI=http://other.mlflow:5000"])
    assert all(before[name] != servers[name] for name in before)


def test_setup_can_be_applied_again() -> None:
    """A Job's template cannot change; a CronJob's can, and one that is suspended starts nothing by itself."""
    assert not named("Job")
    (setup,) = [item for item in OBJECTS if item["kind"] == "CronJob"]
    assert setup["spec"]["suspend"] is True
    assert setup["spec"]["jobTemplate"]["spec"]["ttlSecondsAfterFinished"]


def test_the_component_for_servers_without_login_asks_for_none(tmp_path: Path) -> None:
    objects = made(
        tmp_path, resources=["base"], components=["components/gpu", "components/prefect-without-login"], transformers=["values"]
    )
    pods = yaml.safe_dump_all([item for item in objects if item["kind"] in {"Deployment", "CronJob"}])
    assert "AUTH_STRING" not in pods
    assert "secretName: calig-prefect" not in pods
    assert broken(objects, [item for item in GIVEN if item["metadata"]["name"] != "calig-prefect"]) == []


def test_the_dashboard_and_the_alerts_ask_for_metrics_that_there_are(ours: list[dict[str, Any]]) -> None:
    from flows.trigger.listener.health import Metrics

    there = set(re.findall(r"^# TYPE (\w+)", Metrics(lambda: 0, lambda: 0).text().decode(), re.MULTILINE))
    (dashboard,) = [json.loads(item["data"]["calig.json"]) for item in ours if item["metadata"]["name"] == "calig-dashboard"]
    (rules,) = [item["spec"]["groups"][0]["rules"] for item in ours if item["kind"] == "PrometheusRule"]
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]] + [rule["expr"] for rule in rules]
    metrics = {re.sub(r"_bucket$", "", name) for expression in asked for name in re.findall(r"calig_\w+", expression)}
    assert len(metrics) == 5
    assert metrics <= there


def test_whoever_explains_has_the_signing_key_and_the_trusted_keys_and_nobody_else() -> None:
    for name, pod in all_pods().items():
        (container,) = pod["containers"]
        environment = {entry["name"]: entry.get("value") for entry in container.get("env", [])}
        assert ("CALIG_SIGNING_KEY_FILE" in environment) == (name in {"calig-worker", "job"}), name
        assert ("CALIG_SIGNING_KEY_FILE" in environment) == ("CALIG_TRUSTED_KEYS" in environment)
        for volume in pod["volumes"]:
            if volume.get("secret", {}).get("secretName") == "calig-signing":
                assert volume["secret"]["defaultMode"] == 0o440, "calig refuses a key that others can read"


def test_examples_of_secrets_hold_no_values() -> None:
    values = [value for item in load_all(K8S / "secrets.example.yaml") for value in item["stringData"].values()]
    assert values == [""] * len(values)
