"""Flow `reconcile`: one pass over all versions of the watched models; the source of truth for what is explained."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger

from components import registry
from components.common.configuration import load_watch
from components.common.errors import CaligError, CouldNotRunError
from flows.trigger.decide import Case, is_settled
from flows.trigger.prefect_runs import PrefectRuns, Runs
from flows.trigger.request import request_for, watch_path
from flows.trigger.submit import submit
from schemas.trigger import Action, Pass, Step, WatchConfig, WatchedVersion


@flow(name="reconcile", validate_parameters=True)
def reconcile(watch: Path | None = None) -> Pass:
    """One pass, for a schedule.

    Args:
        watch: the watch file; default: the one that the environment variable CALIG_WATCH names.

    Raises:
        CouldNotRunError: a version could not be handed over; the next pass takes it up again.
    """
    config = load_watch(watch_path(watch))
    log = get_run_logger()
    done = run_pass(config, PrefectRuns(config.deployment), told=lambda step: _log_step(log, step))
    failed = [step for step in done.steps if step.action is Action.ERROR]
    if failed:
        raise CouldNotRunError(
            f"{len(failed)} of {len(done.steps)} versions could not be looked after",
            got=f"{failed[0].model}/{failed[0].version}: {failed[0].detail}",
            next_step="the next pass tries again",
        )
    return done


def run_pass(watch: WatchConfig, runs: Runs, *, dry_run: bool = False, told: Callable[[Step], None] | None = None) -> Pass:
    """Look at every watched version once; one version's trouble does not keep the others.

    Args:
        told: called with each step as it is done, from the caller's thread.

    Raises:
        CouldNotRunError: the registry cannot list its versions.
    """
    versions = registry.watched_versions(lambda name: watch.entry_for(name) is not None, watch.newest)
    steps: list[Step] = []
    with ThreadPoolExecutor(max_workers=watch.submissions) as pool:
        for step in pool.map(lambda version: _step(version, watch, runs, dry_run), versions):
            steps.append(step)
            if told is not None:
                told(step)
    found = {version.name for version in versions}
    return Pass(dry_run=dry_run, steps=tuple(steps), empty=tuple(name for name in watch.names() if name not in found))


def look_at(name: str, version: str, watch: WatchConfig, runs: Runs, *, dry_run: bool = False) -> Step:
    """Look at one version as it is now. Raises CouldNotRunError when registry or Prefect do not answer."""
    known = registry.watched_version(name, version) if watch.entry_for(name) is not None else None
    if known is None:
        return Step(model=name, version=version, action=Action.NOT_WATCHED)
    return submit(known, watch, runs, dry_run=dry_run)


def _log_step(log: Any, step: Step) -> None:
    """What was done, for the flow run's log; what was settled before is not repeated every minute."""
    if step.action is not Action.DONE:
        log.info("%s/%s: %s%s", step.model, step.version, step.action, f": {step.detail}" if step.detail else "")


def _step(listed: WatchedVersion, watch: WatchConfig, runs: Runs, dry_run: bool) -> Step:
    """A listed version may be seconds old: what is not settled is read again before anything is done about it."""
    try:
        request = request_for(listed, watch)
        if request is not None and is_settled(Case(listed, request)):
            return submit(listed, watch, runs, dry_run=dry_run)
        return look_at(listed.name, listed.version, watch, runs, dry_run=dry_run)
    except CaligError as error:
        return Step(model=listed.name, version=listed.version, action=Action.ERROR, detail=" ".join(str(error).split()))
