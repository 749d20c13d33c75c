"""The Helm chart, rendered by Helm: the objects of the Kustomize base and overlays, every reference of them, its own values."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from deploy.references import broken
from deploy.references.objects import Cluster
from tests.deploy.test_kubernetes import GIVEN, KUBERNETES, VALUES, job_of
from tests.helpers.deploy_files import DEPLOY, K8S, ROOT, load_all, made, manifests
from tests.helpers.helm_chart import CHART, comparable, notes, rendered

Values = dict[str, Any]

#: Where each value of Kustomize's values.env stands in the chart.
PATHS = {
    "MLFLOW_TRACKING_URI": "mlflow.trackingUri",
    "mlflow_namespace": "mlflow.namespace",
    "mlflow_pod_port": "mlflow.podPort",
    "PREFECT_API_URL": "prefect.apiUrl",
    "prefect_namespace": "prefect.namespace",
    "prefect_pod_port": "prefect.podPort",
    "image": "image",
    "gpu_image": "gpu.image",
    "pull_secret": "pullSecret",
    "storage_class": "storage.class",
    "runtime_class": "gpu.runtimeClass",
    "store_namespace": "store.namespace",
    "store_pod_port": "store.podPort",
    "monitoring_namespace": "monitoring.namespace",
}


#: As Prefect makes it from the template of `calig setup`.
JOB = job_of(CHART / "files" / "job-patch.yaml", {"namespace": "calig"})


def at(path: str, value: Any) -> Values:
    """Values in which only one is set, as `--set PATH=VALUE` does it."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value  # type: ignore[no-any-return]


def joined(*many: Values) -> Values:
    """Values, later ones over earlier ones."""
    found: Values = {}
    for values in many:
        for key, value in values.items():
            found[key] = joined(found[key], value) if isinstance(value, dict) and isinstance(found.get(key), dict) else value
    return found


def of_environment(values: dict[str, str]) -> Values:
    """Lines of values.env as values of the chart; ports are numbers there."""
    return joined(*(at(PATHS[name], int(value) if name.endswith("_port") else value) for name, value in values.items()))


def of_overlay(name: str) -> Values:
    """Values of the chart that say what an overlay says."""
    folder = K8S / "overlays" / name
    lines = dict(re.findall(r"^(\w+)=(.*)$", (folder / "values.env").read_text(encoding="utf-8"), re.MULTILINE))
    (watch,) = load_all(folder / "watch.yaml")
    values = {**of_environment(lines), "watch": watch}
    if name == "gpu":
        (settings,) = load_all(folder / "settings.yaml")
        values = joined(values, {"settings": settings, "gpu": {"enabled": True}})
    return values


def defaults() -> Values:
    (values,) = load_all(CHART / "values.yaml")
    return values


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_it_makes_the_objects_of_the_overlay(overlay: str) -> None:
    assert comparable(rendered(of_overlay(overlay))) == comparable(manifests(overlay))


def test_with_every_value_changed_it_makes_the_objects_of_the_base(tmp_path: Path) -> None:
    generator = {"name": "calig-environment", "behavior": "merge", "literals": [f"{k}={v}" for k, v in VALUES.items()]}
    base = made(
        tmp_path,
        namespace="elsewhere",
        resources=["base"],
        components=["components/gpu", "components/monitoring"],
        transformers=["values"],
        configMapGenerator=[generator],
    )
    values = joined(of_environment(VALUES), {"gpu": {"enabled": True}, "monitoring": {"enabled": True}})
    ours = rendered(values, namespace="elsewhere")
    assert comparable(ours) == comparable(base)
    assert {item["metadata"]["namespace"] for item in ours} == {"elsewhere"}


def test_without_a_login_it_makes_the_objects_of_that_component(tmp_path: Path) -> None:
    components = ["components/gpu", "components/prefect-without-login"]
    base = made(tmp_path, resources=["base"], components=components, transformers=["values"])
    values = {"prefect": {"login": False}, "gpu": {"enabled": True}}
    assert comparable(rendered(values)) == comparable(base)


def test_a_difference_would_be_noticed() -> None:
    ours = rendered(of_overlay("cpu"))
    for item in ours:
        if item["kind"] == "Deployment":
            item["spec"]["template"]["spec"]["automountServiceAccountToken"] = True
    assert comparable(ours) != comparable(manifests("cpu"))


def test_values_and_their_defaults_are_those_of_kustomize() -> None:
    lines = dict(re.findall(r"^(\w+)=(.*)$", (K8S / "base" / "values.env").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(lines) - set(PATHS) == {"CALIG_WATCH", "PREFECT_LOCAL_STORAGE_PATH"}
    values = defaults()
    assert joined(values, of_environment({name: lines[name] for name in PATHS})) == values
    assert joined({"watch": {}}, values)["watch"] == load_all(K8S / "base" / "watch.yaml")[0]


EXTRAS: Values = {
    "gpu": {"enabled": True, "jobServiceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/store"}},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    "worker": {"serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/store"}, "replicas": 3},
    "environment": {"NO_PROXY": ".svc", "OMP_NUM_THREADS": 2},
    "nodeSelector": {"pool": "cpu"},
    "tolerations": [{"key": "pool", "operator": "Exists"}],
    "storage": {"class": "", "accessMode": "ReadWriteOnce"},
    "pullSecret": "",
    "openshift": True,
}


@pytest.mark.parametrize(
    "values", [{}, of_overlay("gpu"), EXTRAS, {"networkPolicies": {"workerToOutside": False}}, {"setup": {"afterInstall": False}}]
)
def test_schemas_are_kept_and_every_reference_leads_somewhere(values: Values) -> None:
    objects = rendered(values)
    for item in objects:
        if item["apiVersion"] != "monitoring.coreos.com/v1":
            kubernetes_validate.validate(item, KUBERNETES, strict=True)
    assert broken([*objects, *([JOB] if values.get("gpu") else [])], GIVEN) == []


def test_without_policies_none_is_made() -> None:
    assert not [item for item in rendered({"networkPolicies": {"enabled": False}}) if item["kind"] == "NetworkPolicy"]


def test_what_is_set_besides_is_where_it_belongs() -> None:
    objects = rendered(EXTRAS)
    for pod in Cluster([item for item in objects if item["kind"] != "Job"], []).pods:
        assert (pod.spec["nodeSelector"], pod.spec["tolerations"]) == (EXTRAS["nodeSelector"], EXTRAS["tolerations"]), pod.maker
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod.spec["securityContext"]), pod.maker
    assert not [item for item in objects if "imagePullSecrets" in item]
    annotated = [
        item["metadata"]["name"] for item in objects if item["kind"] == "ServiceAccount" and item["metadata"].get("annotations")
    ]
    assert sorted(annotated) == ["calig-job", "calig-worker"]
    claims = [item["spec"] for item in objects if item["kind"] == "PersistentVolumeClaim"]
    assert [(claim["accessModes"], "storageClassName" in claim) for claim in claims] == [(["ReadWriteOnce"], False)] * 2
    chosen = [item["metadata"]["labels"] for item in objects if item["kind"] in {"ServiceMonitor", "PrometheusRule"}]
    assert [labels["release"] for labels in chosen] == ["prometheus"] * 2
    environments = [
        item["data"] for item in objects if item["metadata"]["name"] in {"calig-environment", "calig-job-environment"}
    ]
    assert [(data["NO_PROXY"], data["OMP_NUM_THREADS"]) for data in environments] == [(".svc", "2")] * 2


def test_jobs_on_openshift_have_no_user_of_their_own(tmp_path: Path) -> None:
    (patch,) = [item["data"]["job-patch.yaml"] for item in rendered(EXTRAS) if item["metadata"]["name"] == "calig-job-patch"]
    file = tmp_path / "job-patch.yaml"
    file.write_text(patch, encoding="utf-8")
    context = job_of(file, {"namespace": "calig", "image": "calig"})["spec"]["template"]["spec"]["securityContext"]
    assert context == {
        "runAsNonRoot": True,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_a_changed_configuration_rolls_the_pods_that_read_it_and_no_others() -> None:
    def templates(**values: Any) -> dict[str, str]:
        objects = rendered({**values, "gpu": {"enabled": True}})
        return {
            item["metadata"]["name"]: json.dumps(item["spec"]["template"]) for item in objects if item["kind"] == "Deployment"
        }

    before = templates()
    watching = templates(settings={"attribution": {"n_points": 9}})
    assert {name for name in before if before[name] != watching[name]} == {"calig-listener", "calig-worker"}
    servers = templates(environment={"NO_PROXY": ".svc"})
    assert len(before) == 3
    assert all(before[name] != servers[name] for name in before)


def test_setup_runs_after_each_install_and_upgrade_as_the_cron_job_would() -> None:
    objects = rendered(of_overlay("gpu"))
    (job,) = [item for item in objects if item["kind"] == "Job"]
    (by_hand,) = [item for item in objects if item["kind"] == "CronJob"]
    assert job["metadata"]["annotations"] == {
        "helm.sh/hook": "post-install,post-upgrade",
        "helm.sh/hook-delete-policy": "before-hook-creation",
    }
    assert job["spec"] == by_hand["spec"]["jobTemplate"]["spec"]
    assert not [item for item in rendered({"setup": {"afterInstall": False}}) if item["kind"] == "Job"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"imagee": "x"}, "imagee"),
        ({"gpu": {"runtime_class": "nvidia"}}, "runtime_class"),
        ({"image": "registry.example/calig"}, "/image"),
        ({"image": "registry.example/calig@sha256:abc"}, "/image"),
        ({"prefect": {"apiUrl": "http://prefect:4200"}}, "/prefect/apiUrl"),
        ({"mlflow": {"podPort": "5000"}}, "/mlflow/podPort"),
        ({"watch": {"models": []}}, "/watch/models"),
        ({"storage": {"runs": "200 GB"}}, "/storage/runs"),
    ],
)
def test_a_wrong_value_is_named(values: Values, said: str) -> None:
    with pytest.raises(helm_python.HelmValuesError, match=re.escape(said)):
        rendered(values)


def test_an_image_may_be_named_by_its_digest() -> None:
    image = f"registry.example/calig@sha256:{'a' * 64}"
    pods = Cluster(rendered({"image": image}), []).pods
    assert {container["image"] for pod in pods for container in pod.spec["containers"]} == {image}


def test_helm_finds_nothing_to_mend() -> None:
    found = helm_python.lint(str(CHART), strict=True)
    assert found["errors"] == []
    assert [message["error"] for message in found["messages"]] == ["icon is recommended"]


def test_the_package_has_the_files_that_are_links_here(tmp_path: Path) -> None:
    package = helm_python.package(str(CHART), destination=str(tmp_path))
    with helm_python.Chart.load(str(package)) as chart:
        files = chart.render({"gpu": {"enabled": True}, "monitoring": {"enabled": True}}, name="calig", namespace="calig")
    objects = [
        item for name in ("gpu", "monitoring") for item in yaml.safe_load_all(files[f"calig/templates/{name}.yaml"]) if item
    ]
    texts = {item["metadata"]["name"]: item.get("data", {}) for item in objects}
    patch = (K8S / "components" / "gpu" / "job-patch.yaml").read_text(encoding="utf-8")
    assert texts["calig-job-patch"]["job-patch.yaml"].strip() == patch.strip()
    assert json.loads(texts["calig-dashboard"]["calig.json"])["uid"] == "calig-listener"


def test_versions_are_the_project_s_own() -> None:
    (chart,) = load_all(CHART / "Chart.yaml")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert chart["version"] == chart["appVersion"] == project["version"]
    assert chart["kubeVersion"] == f">={KUBERNETES}.0-0"


def test_the_values_of_the_page_make_the_objects_of_the_gpu_overlay() -> None:
    page = (DEPLOY / "docs" / "how-to" / "cluster.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    ours = rendered(yaml.safe_load(block.replace("sha256:…", f"sha256:{'a' * 64}")))
    assert set(comparable(ours)) == set(comparable(manifests("gpu")))
    assert broken([*ours, JOB], GIVEN) == []


def test_notes_say_what_is_left_to_do() -> None:
    said = notes()
    assert "registry.example is nobody's registry" in said
    assert "calig-prefect, calig-webhook, calig-signing" in said
    without = notes({"image": "ours.example/calig:1", "prefect": {"login": False}, "setup": {"afterInstall": False}})
    assert "nobody's registry" not in without
    assert "calig-prefect" not in without
    assert "create job --from=cronjob/calig-setup" in without
    assert "No model uses the GPUs yet" in notes({"gpu": {"enabled": True}})
    assert "No model uses the GPUs yet" not in notes(of_overlay("gpu"))
