"""The CPU image built and started: both servers, setup, worker and listener, read-only and as nobody, explain a version."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import yaml
from mlflow import MlflowClient

from components import registry
from tests.e2e.cluster.process import free_port
from tests.e2e.engine import IMAGE, LIMIT_S, NEEDS_PODMAN, PODMAN, build_image, said, verdict_of, wait_for, write_rows
from tests.helpers.tiny_models import save_tiny_bert
from tests.helpers.tracking import connected

#: As compose.yaml and the manifests start it; addresses are the machine's own.
RESTRICTED = shlex.split(
    "--rm --network=host --read-only --user=10001:10001 --cap-drop=ALL --security-opt=no-new-privileges --tmpfs=/tmp:mode=1777"
)

pytestmark = NEEDS_PODMAN


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    """Built from this checkout when a command for it is named."""
    build_image()


class Containers(NamedTuple):
    """Where they keep what they write, the servers' addresses, and the names of those that were started."""

    folder: Path
    mlflow: str
    prefect: str
    listener: str
    names: list[str]

    def volume(self, name: str) -> str:
        """A folder of the image's user."""
        path = self.folder / name
        path.mkdir(exist_ok=True)
        os.chown(path, 10001, 10001)
        return str(path)

    def run(self, name: str, command: list[str], *, volumes: dict[str, str], detach: bool = True, **environment: str) -> str:
        """Start one; what it printed, when it is not left running."""
        mounts = [f"--volume={self.volume(source)}:{target}" for source, target in volumes.items()]
        files = [f"--volume={self.folder}/{file}:/etc/calig/{file}:ro" for file in ("watch.yaml", "validation.jsonl")]
        variables = [f"--env={key}={value}" for key, value in environment.items()]
        self.names.append(f"calig-test-{name}")
        options = [*RESTRICTED, *(["--detach"] if detach else []), f"--name=calig-test-{name}", *mounts, *files, *variables]
        done = subprocess.run(
            [*PODMAN, "run", *options, IMAGE, *command], capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        assert done.returncode in ({0} if detach else {0, 1, 3}), f"{name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def logs(self) -> str:
        """The last lines of all of them."""
        return "\n".join(f"=== {name}\n{said([*PODMAN, 'logs', '--tail=40', name])}" for name in self.names)


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    folder = tmp_path_factory.mktemp("containers")
    folder.chmod(0o755)
    write_rows(folder / "validation.jsonl")
    watch = {
        "models": [{"name": "reviews", "dataset": "/etc/calig/validation.jsonl"}],
        "listener": {"replay_store": "/var/lib/calig/listener.sqlite"},
    }
    (folder / "watch.yaml").write_text(yaml.safe_dump(watch), encoding="utf-8")
    mlflow, prefect, listener = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    started = Containers(folder, mlflow, f"{prefect}/api", listener, [])
    try:
        yield started
    finally:
        for name in reversed(started.names):
            subprocess.run([*PODMAN, "rm", "--force", "--time=20", name], capture_output=True, check=False)


def _port(address: str) -> str:
    return str(urlsplit(address).port)


def test_a_registered_version_is_explained_by_containers_alone(containers: Containers) -> None:
    store = ["--backend-store-uri=sqlite:////var/lib/calig/mlflow.db", "--artifacts-destination=/var/lib/calig/artifacts"]
    server = ["mlflow", "server", "--host=127.0.0.1", f"--port={_port(containers.mlflow)}", "--workers=1", "--serve-artifacts"]
    containers.run(
        "mlflow",
        [*server, *store],
        volumes={"mlflow": "/var/lib/calig"},
        MLFLOW_WEBHOOK_ALLOWED_SCHEMES="http,https",
        MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
    )
    command = ["prefect", "server", "start", "--host=127.0.0.1", f"--port={_port(containers.prefect)}", "--no-ui"]
    containers.run("prefect", command, volumes={"prefect": "/var/lib/calig"}, PREFECT_HOME="/var/lib/calig/prefect")
    wait_for(f"{containers.mlflow}/health", containers.logs)
    wait_for(f"{containers.prefect}/health", containers.logs)
    clients = {
        "MLFLOW_TRACKING_URI": containers.mlflow,
        "PREFECT_API_URL": containers.prefect,
        "CALIG_WATCH": "/etc/calig/watch.yaml",
        "CALIG_WEBHOOK_SECRET": "a secret of this test, long enough",
        "CALIG_SIGNING_KEY_FILE": "/var/lib/calig/keys/signing_key.pem",
        "CALIG_TRUSTED_KEYS": "/var/lib/calig/keys/trusted_keys.yaml",
    }
    keys, runs = {"keys": "/var/lib/calig/keys"}, {"runs": "/var/lib/calig/runs"}
    hook = f"{containers.listener}/webhooks/mlflow"
    setup = ["calig", "setup", "--prefect-file=/opt/calig/deploy/prefect.yaml", f"--webhook-url={hook}"]
    printed = containers.run("setup", setup, volumes=keys, detach=False, **clients)
    assert "deployments: explain-release, reconcile, attribute-shards" in printed
    worker = ["prefect", "worker", "start", "--pool=calig", "--type=process", "--limit=2"]
    containers.run(
        "worker", worker, volumes={**keys, **runs}, PREFECT_LOCAL_STORAGE_PATH="/var/lib/calig/runs/.cache/prefect", **clients
    )
    listen = ["calig", "listen", "--host=127.0.0.1", f"--port={_port(containers.listener)}"]
    containers.run("listener", listen, volumes={"listener": "/var/lib/calig"}, **clients)
    wait_for(f"{containers.listener}/readyz", containers.logs)
    with connected(containers.mlflow):
        registry.register(save_tiny_bert(containers.folder / "model"), name="reviews", experiment="training", tags={}, metrics={})
        tags = verdict_of(MlflowClient(containers.mlflow), containers.logs)
    assert tags["calig.verdict"] in {"pass", "fail", "inconclusive"}
    assert tags["calig.attempts"] == "1"
    verify = ["calig", "verify", "models:/reviews/1", "--require-signature"]
    containers.run("verify", verify, volumes={**keys, **runs}, detach=False, **clients)


def test_a_command_brings_its_own_prefect_server_in_the_image_too(containers: Containers) -> None:
    model = save_tiny_bert(Path(containers.volume("own")) / "model")
    for path in (model, *model.iterdir()):
        os.chown(path, 10001, 10001)  # weights are saved for their owner alone
    command = ["calig", "explain", "calig-runs/model", "--dataset=/etc/calig/validation.jsonl", "--limit=10"]
    printed = containers.run("explain", command, volumes={"own": "/var/lib/calig/runs"}, detach=False)
    assert list((containers.folder / "own").rglob("record.json")), printed
