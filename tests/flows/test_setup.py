"""`calig setup` on a real Prefect server: everything is made, a second time changes nothing, and what is wrong is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from typer.testing import CliRunner

from components import signing
from components.common.errors import CouldNotRunError, InputError
from flows.cli.app import app
from flows.setup import SetupOptions, job_template, pools_of, set_up

ROOT = Path(__file__).parents[2]
PREFECT_FILE = ROOT / "deploy" / "prefect.yaml"
PATCH = ROOT / "deploy" / "k8s" / "components" / "gpu" / "job-patch.yaml"


def wanted(*, slots: int = 2, pools: tuple[str, ...] = ("calig-gpu",), file: Path = PREFECT_FILE) -> SetupOptions:
    return SetupOptions(file, pools, PATCH, slots, None, None, job_variables={"image": "registry.example/calig:1-cuda"})


@pytest.mark.slow
@pytest.mark.usefixtures("without_pools")
def test_everything_is_made_and_nothing_is_doubled() -> None:
    first = list(set_up(wanted()))
    assert "work pool calig: created (process)" in first
    assert "work pool calig-gpu: created (kubernetes)" in first
    second = list(set_up(wanted(slots=3)))
    assert "work pool calig: there already (process)" in second
    assert "work pool calig-gpu: there already (kubernetes)" in second
    assert second[-1].startswith("webhook: left out")
    with get_client(sync_client=True) as client:
        pools = {pool.name: pool for pool in client.read_work_pools()}
        assert {"calig", "calig-gpu"} <= set(pools)
        assert pools["calig-gpu"].base_job_template == job_template(PATCH, {"image": "registry.example/calig:1-cuda"})
        assert client.read_global_concurrency_limit_by_name("gpu").limit == 3
        assert client.read_deployment_by_name("explain-release/explain-release").work_pool_name == "calig"
        assert len(client.read_deployments()) == len({deployment.name for deployment in client.read_deployments()})
    with pytest.raises(InputError, match=r"(?s)of another type.*got: process.*allowed: kubernetes"):
        list(set_up(wanted(pools=("calig",))))


def test_a_key_and_the_list_that_trusts_it_are_made_once(tmp_path: Path) -> None:
    from flows.setup import make_keys

    key, trusted = tmp_path / "keys" / "signing_key.pem", tmp_path / "keys" / "trusted_keys.yaml"
    made = list(make_keys(key, trusted))
    assert "created in" in made[0]
    assert key.stat().st_mode & 0o777 == 0o600
    signer = signing.load_signer(key, None)
    (known,) = signing.load_trust(trusted).keys
    assert (known.key_id, known.name, known.purposes) == (signer.key_id, "pipeline", ("records",))
    before = key.read_bytes(), trusted.read_bytes()
    assert list(make_keys(key, trusted)) == [f"signing key {signer.key_id}: there already", "trusted keys: there already"]
    assert (key.read_bytes(), trusted.read_bytes()) == before
    assert "evidence will not be signed" in next(make_keys(None, trusted))
    other = list(make_keys(tmp_path / "other.pem", trusted))
    assert "without this key: its signatures do not count" in other[1]
    assert trusted.read_bytes() == before[1], "a list is never overwritten"
    key.write_text("no key")
    with pytest.raises(InputError, match="cannot be opened"):
        list(make_keys(key, trusted))


def test_no_server_or_none_that_answers(tmp_path: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(InputError, match="PREFECT_API_URL"):
        list(set_up(wanted()))
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(CouldNotRunError, match="ConnectError"):
        list(set_up(wanted()))


@pytest.mark.parametrize("text", ["", "deployments: []", "deployments: [{name: a}]", "{", "- a"])
def test_a_file_that_lists_no_deployments(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError):
        pools_of(file)


def test_the_job_template_is_prefects_own_with_the_patch_and_the_defaults(tmp_path: Path) -> None:
    from prefect_kubernetes.worker import KubernetesWorker

    own = KubernetesWorker.get_default_base_job_template()
    assert job_template(None, {}) == own
    patch = tmp_path / "patch.yaml"
    patch.write_text("[{op: add, path: /job_configuration/job_manifest/spec/activeDeadlineSeconds, value: 60}]", encoding="utf-8")
    made = job_template(patch, {"image": "registry.example/calig:1", "namespace": ""})
    assert made["job_configuration"]["job_manifest"]["spec"].pop("activeDeadlineSeconds") == 60
    assert made["variables"]["properties"]["image"].pop("default") == "registry.example/calig:1"
    assert made["variables"]["properties"]["namespace"]["default"] == "default", "an empty value leaves it as it is"
    own["variables"]["properties"]["image"].pop("default")
    assert made == own


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("{a: b}", "does not fit"),
        ("[{op: nonsense, path: /a}]", "does not fit"),
        ("[{op: remove, path: /job_configuration/no_such}]", "does not fit"),
        ("[{op: add, path: /job_configuration/no/such, value: 1}]", "does not fit"),
    ],
)
def test_a_patch_that_is_none_or_does_not_fit_prefects_template(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "patch.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        list(set_up(wanted()._replace(job_patch=file)))


def test_an_unknown_variable_of_the_template_is_named_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match=r"(?s)got: imgae.*runtime_class"):
        job_template(PATCH, {"imgae": "x"})
    result = CliRunner().invoke(app, ["setup", "--job-variable", "image"])
    assert result.exit_code == 2
    assert "NAME=VALUE" in result.output


def test_the_command_needs_a_secret_for_a_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.common.process.prepare", lambda **_: None)
    monkeypatch.delenv("CALIG_WEBHOOK_SECRET", raising=False)
    monkeypatch.delenv("CALIG_WEBHOOK_SECRET_FILE", raising=False)
    result = CliRunner().invoke(app, ["setup", "--webhook-url", "http://listener:8080/webhooks/mlflow"])
    assert result.exit_code == 2
    assert "CALIG_WEBHOOK_SECRET_FILE" in result.output


def test_runs_work_where_calig_home_says_else_beside_deploy_else_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.setup import PREFECT_FILE as OWN
    from flows.setup import working_directory

    assert OWN.read_bytes() == PREFECT_FILE.read_bytes()
    monkeypatch.delenv("CALIG_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert working_directory(OWN) == tmp_path
    assert working_directory(PREFECT_FILE) == ROOT
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "__init__.py").touch()
    with pytest.raises(InputError, match=r"(?s)schemas hides.*CALIG_HOME"):
        working_directory(OWN)
    monkeypatch.setenv("CALIG_HOME", str(ROOT))
    assert working_directory(OWN) == ROOT
