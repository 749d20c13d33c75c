"""compose.yaml by the Compose specification's schema, and by what it promises: pinned, private, hardened, no loose ends."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.deploy_files import DEPLOY, compose, compose_variables

COMPOSE = compose()
SERVICES = COMPOSE["services"]


def test_the_schema_is_kept() -> None:
    checker = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [checker, "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_hardened_limited_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":\d+\.\d+", service["image"]), "an image without a version moves under one's feet"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].partition(":")[0] not in {"", "0", "root"}
    assert "privileged" not in service
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert service["restart"] in {"unless-stopped", "on-failure:5"}
    assert "healthcheck" in service
    assert "/var/run/docker.sock" not in str(service.get("volumes"))


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_on_loopback(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_names_lead_somewhere(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    for other, how in service.get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert source.startswith("./") or source in COMPOSE["volumes"]
    for variable, value in service.get("environment", {}).items():
        if variable.endswith("_FILE"):
            mounted = [volume.split(":")[1] for volume in service.get("volumes", [])]
            in_volume = any(str(value).startswith(f"{place}/") for place in mounted)
            assert in_volume or str(value).removeprefix("/run/secrets/") in service["secrets"], variable
    for host in re.findall(r"(?:://|@)(?:\w+@)?([a-z]+)[:/]", str([service.get("environment"), service.get("command")])):
        assert host in SERVICES, host
        assert set(SERVICES[host]["networks"]) & set(service["networks"]) or name == "setup"


def test_only_the_servers_reach_the_database() -> None:
    assert {name for name, service in SERVICES.items() if "database" in service["networks"]} == {"postgres", "mlflow", "prefect"}
    assert SERVICES["postgres"]["networks"] == ["database"]
    assert COMPOSE["networks"]["database"]["internal"] is True


def test_no_secret_stands_in_the_file() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            secret = re.search(r"PASSWORD|SECRET|AUTH_STRING|_KEY(?!S)", variable)
            assert not secret or variable.endswith("_FILE"), (name, variable)
            assert not re.search(r"://[^/]*:[^/]*@", str(value)), (name, variable)
    assert all(secret["file"].startswith("./secrets/") for secret in COMPOSE["secrets"].values())


def test_whoever_explains_has_the_key_that_setup_makes_and_nobody_else() -> None:
    holders = {name for name, service in SERVICES.items() if "CALIG_SIGNING_KEY_FILE" in service.get("environment", {})}
    assert holders == {"setup", "worker", "worker-gpu"}
    mounts = {name: [v for v in service.get("volumes", []) if v.startswith("keys:")] for name, service in SERVICES.items()}
    assert mounts.pop("setup") == ["keys:/var/lib/calig/keys"]
    assert {name for name, found in mounts.items() if found} == {"worker", "worker-gpu"}
    assert all(found in ([], ["keys:/var/lib/calig/keys:ro"]) for found in mounts.values())
    key, trusted = "CALIG_SIGNING_KEY_FILE", "CALIG_TRUSTED_KEYS"
    assert len({(SERVICES[name]["environment"][key], SERVICES[name]["environment"][trusted]) for name in holders}) == 1


def test_whoever_reads_the_watch_file_reads_the_data_sets_too() -> None:
    """A request names the digest of its data set, so the listener needs it as well as the workers."""
    mounted = {name: " ".join(map(str, service.get("volumes", []))) for name, service in compose()["services"].items()}
    watching = [name for name, volumes in mounted.items() if ":/etc/calig/watch.yaml" in volumes]
    assert {"listener", "worker"} <= set(watching)
    assert [name for name in watching if ":/data:ro" not in mounted[name]] == []


def test_every_secret_is_used() -> None:
    assert {secret for service in SERVICES.values() for secret in service.get("secrets", [])} == set(COMPOSE["secrets"])


def test_the_example_settings_are_the_variables_with_their_defaults() -> None:
    lines = (DEPLOY / ".env.example").read_text(encoding="utf-8").splitlines()
    example = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert example == compose_variables()


def test_mlflow_accepts_the_name_it_is_called_by() -> None:
    hosts = (
        next(part for part in SERVICES["mlflow"]["command"] if part.startswith("--allowed-hosts=")).partition("=")[2].split(",")
    )
    for name in ("worker", "listener", "setup"):
        assert SERVICES[name]["environment"]["MLFLOW_TRACKING_URI"].removeprefix("http://") in hosts
