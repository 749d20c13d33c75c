"""Every command line in deploy/ is parsed by the command it names, and every variable set there is one that somebody reads."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from flows.setup import pools_of
from tests.helpers.deploy_files import DEPLOY, K8S, ROOT, Launch, launches

LAUNCHES = launches()
OURS = "\n".join(
    file.read_text(encoding="utf-8") for place in ("flows", "components", "calig") for file in (ROOT / place).rglob("*.py")
)


def _calig(arguments: list[str]) -> None:
    from flows.cli.app import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    commands[arguments[0]].make_context(arguments[0], arguments[1:])


def _mlflow(arguments: list[str]) -> None:
    from components.registry.connection import load_mlflow

    with warnings.catch_warnings():
        load_mlflow()
        warnings.simplefilter("ignore")  # MLflow warns about its own code when its command line is imported
        from mlflow.cli import cli

    cli.commands[arguments[0]].make_context(arguments[0], arguments[1:])


def _prefect(arguments: list[str]) -> None:
    from prefect.cli.server import server_app
    from prefect.cli.worker import worker_app

    app = {"server": server_app, "worker": worker_app}[arguments[0]]
    app.parse_args(arguments[1:], exit_on_error=False, print_error=False)


PARSERS: dict[str, Callable[[list[str]], None]] = {"calig": _calig, "mlflow": _mlflow, "prefect": _prefect}


@pytest.mark.parametrize("launch", LAUNCHES, ids=lambda launch: launch.name)
def test_the_command_exists_and_takes_these_options(launch: Launch) -> None:
    PARSERS[launch.command[0]](launch.command[1:])


@pytest.mark.parametrize("program", PARSERS)
def test_an_unknown_option_would_be_noticed(program: str) -> None:
    command = next(launch.command for launch in LAUNCHES if launch.command[0] == program)
    with pytest.raises(Exception, match=r"(?i)no such option|unknown option"):
        PARSERS[program]([*command[1:], "--no-such-option=1"])


def _is_read(variable: str) -> bool:
    if variable == "NAMESPACE":  # by the arguments of the same container: deploy/references
        return True
    entrypoint = (DEPLOY / "entrypoint.sh").read_text(encoding="utf-8")
    if variable.removesuffix("_FILE") in re.findall(r"\b[A-Z][A-Z_]+\b", entrypoint) and variable.endswith("_FILE"):
        return True
    if variable.startswith("CALIG_"):
        return f'"{variable}"' in OURS
    if variable.startswith("PREFECT_INTEGRATIONS_KUBERNETES_"):
        return _is_kubernetes_setting(variable.removeprefix("PREFECT_INTEGRATIONS_KUBERNETES_").lower())
    if variable.startswith("PREFECT_"):
        import prefect.settings

        return hasattr(prefect.settings, variable)
    import mlflow.environment_variables as known

    return variable in {getattr(value, "name", None) for value in vars(known).values()}


def _is_kubernetes_setting(name: str) -> bool:
    from prefect_kubernetes.settings import KubernetesSettings

    section, _, field = name.partition("_")
    model: Any = KubernetesSettings.model_fields[section].annotation
    return field in model.model_fields


@pytest.mark.parametrize("launch", LAUNCHES, ids=lambda launch: launch.name)
def test_every_variable_is_read_by_somebody(launch: Launch) -> None:
    assert [variable for variable in launch.environment if not _is_read(variable)] == []


def test_the_configmap_sets_variables_that_are_read_and_a_made_up_one_is_noticed() -> None:
    variables = re.findall(r"^([A-Z_]+)=", (K8S / "base" / "values.env").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(variables) > 3
    assert [variable for variable in variables if not _is_read(variable)] == []
    for made_up in ("CALIG_NO_SUCH", "PREFECT_NO_SUCH", "MLFLOW_NO_SUCH", "PREFECT_INTEGRATIONS_KUBERNETES_WORKER_NO_SUCH"):
        assert not _is_read(made_up)


def test_every_pool_of_the_deployments_has_a_worker() -> None:
    pools = set(pools_of(DEPLOY / "prefect.yaml"))
    for place in ("compose", "k8s"):
        served = {
            launch.command[launch.command.index("--pool") + 1]
            for launch in LAUNCHES
            if "--pool" in launch.command and launch.name.startswith(place)
        }
        assert pools <= served


def test_files_that_commands_name_are_in_the_image() -> None:
    for launch in LAUNCHES:
        for path in re.findall(r"/opt/calig/(\S+)", " ".join(launch.command)):
            assert (ROOT / Path(path)).exists()
