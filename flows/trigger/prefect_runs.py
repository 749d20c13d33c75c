"""Runs of the explaining deployment on Prefect: started once per key, looked up, stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from components.common.errors import CaligError, CouldNotRunError, InputError
from schemas.trigger import Run, RunState

_STATES = {
    "SCHEDULED": RunState.WAITING,
    "PENDING": RunState.RUNNING,
    "RUNNING": RunState.RUNNING,
    "CANCELLING": RunState.RUNNING,
    "PAUSED": RunState.WAITING,
    "COMPLETED": RunState.COMPLETED,
}


class Runs(Protocol):
    """Runs of the explaining deployment, by idempotency key; CouldNotRunError when Prefect does not answer."""

    def find(self, key: str) -> Run | None:
        """The run that was started with `key`."""

    def start(self, key: str, parameters: dict[str, Any]) -> Run:
        """The run with `key`: the one there is, else a new one. Does not wait for it."""

    def stop(self, run: Run, reason: str) -> None:
        """Ask the worker to end the run's process, which hangs. Does not wait for it."""

    def bury(self, run: Run, reason: str) -> None:
        """Mark a run crashed that gave no sign of life, so that it does not go on beside its successor."""


class PrefectRuns:
    """`Runs` on the Prefect API that this process is configured for."""

    def __init__(self, deployment: str) -> None:
        """Raises InputError when no server is configured."""
        check_configured()
        self._deployment = deployment

    def find(self, key: str) -> Run | None:
        """See `Runs`; a running run's signs of life are the newest events about it and its tasks, with and without heartbeats."""
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey

        with _prefect_errors("look for a run", self._deployment), get_client(sync_client=True) as client:
            of_key = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=[key]))
            found = client.read_flow_runs(flow_run_filter=of_key, limit=1)
            if not found:
                return None
            run = _reduced(found[0])
            return run if run.state is not RunState.RUNNING else _with_signs(client, run)

    def start(self, key: str, parameters: dict[str, Any]) -> Run:
        """See `Runs`."""
        from prefect.deployments import run_deployment

        with _prefect_errors("start a run", self._deployment):
            version, attempt = parameters["model"].removeprefix("models:/"), key.rpartition("/")[2]
            started = run_deployment(
                self._deployment,
                parameters=parameters,
                idempotency_key=key,
                timeout=0,
                as_subflow=False,
                flow_run_name=f"{version} attempt {attempt}",
                tags=["calig"],
            )
            return _reduced(started)

    def stop(self, run: Run, reason: str) -> None:
        """See `Runs`."""
        from prefect.states import Cancelling

        self._put(run, Cancelling(message=reason), "stop a run that hangs")

    def bury(self, run: Run, reason: str) -> None:
        """See `Runs`."""
        from prefect.states import Crashed

        self._put(run, Crashed(message=reason), "end a dead run")

    def _put(self, run: Run, state: Any, doing: str) -> None:
        from uuid import UUID

        from prefect.client.orchestration import get_client

        with _prefect_errors(doing, self._deployment), get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(run.id), state, force=True)


def check_configured() -> None:
    """Raise InputError when no server is configured: Prefect would start one of its own, which knows no deployment."""
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise InputError("no Prefect server is configured", next_step="set PREFECT_API_URL, for example http://prefect:4200/api")


async def check_prefect() -> None:
    """Raise when the Prefect API does not answer."""
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        problem = await client.api_healthcheck()
    if problem is not None:
        raise problem


def _reduced(flow_run: Any) -> Run:
    state = flow_run.state
    kind = "SCHEDULED" if state is None else state.type.value
    return Run(
        id=str(flow_run.id),
        state=_STATES.get(kind, RunState.DIED),
        message="" if state is None else f"{state.name}: {state.message or 'no message'}",
        last_sign=datetime.now(UTC) if state is None else state.timestamp,
        stopping=kind == "CANCELLING",
    )


def _with_signs(client: Any, run: Run) -> Run:
    from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventNameFilter

    about = EventAnyResourceFilter(id=[f"prefect.flow-run.{run.id}"])
    steps = EventNameFilter(exclude_name=["prefect.flow-run.heartbeat"])
    newest = [
        max([run.last_sign, *(event.occurred for event in client.read_events(wanted, limit=1).events)])
        for wanted in (EventFilter(any_resource=about), EventFilter(any_resource=about, event=steps))
    ]
    return run.model_copy(update=dict(zip(("last_sign", "last_step"), newest, strict=True)))


@contextmanager
def _prefect_errors(doing: str, deployment: str) -> Iterator[None]:
    """Whatever Prefect raises while `doing` becomes a CouldNotRunError."""
    try:
        yield
    except CaligError:
        raise
    except Exception as error:
        from prefect.exceptions import ObjectNotFound

        if isinstance(error, ObjectNotFound):
            raise CouldNotRunError(
                "Prefect does not know the deployment.",
                got=deployment,
                next_step="prefect deploy --prefect-file deploy/prefect.yaml --all; and check PREFECT_API_URL",
            ) from error
        raise CouldNotRunError(
            f"Prefect could not {doing}.",
            got=" ".join(str(error).split()) or type(error).__name__,
            next_step="check the Prefect server and PREFECT_API_URL; the next pass tries again",
        ) from error
