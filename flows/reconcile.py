"""Flow `reconcile`: one pass over all versions of the watched models; the source of truth for what is explained.

Performs what flows/trigger/decide.py decides about one version, for the webhook's listener too.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger

from components import registry
from components.common.configuration import load_watch
from components.common.errors import CaligError, CouldNotRunError
from flows.trigger.decide import Begin, BuryRun, Case, Effect, GiveUp, SetState, Settle, StopRun, decide, is_settled, key_of_run
from flows.trigger.prefect_runs import PrefectRuns, Runs
from flows.trigger.request import parameters_of, request_for, watch_path
from schemas.tags import Tag
from schemas.trigger import Action, Pass, Run, State, Step, WatchConfig, WatchedVersion


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
        return Step.failed(listed.name, listed.version, error)


def submit(version: WatchedVersion, watch: WatchConfig, runs: Runs, *, dry_run: bool = False) -> Step:
    """Do what is to be done about `version` now; with `dry_run` only say it.

    Raises:
        CouldNotRunError: registry or Prefect do not answer; looking again later does the same or continues it.
    """
    request = request_for(version, watch)
    if request is None:
        return Step(model=version.name, version=version.version, action=Action.NOT_WATCHED)
    case = Case(version, request)
    key = key_of_run(case)
    step, effects = decide(case, None if key is None else runs.find(key), datetime.now(UTC), watch)
    for effect in () if dry_run else effects:
        started = _perform(effect, case, runs)
        if started is not None:
            step = step.model_copy(update={"run_id": started.id})
    return step


def _perform(effect: Effect, case: Case, runs: Runs) -> Run | None:
    """The run that was started, if one was."""
    version = case.version
    match effect:
        case Begin(attempt):  # noted first: when starting fails, the next look finds the note and starts it
            registry.note_queued(version, case.digest, attempt)
            return runs.start(case.key(attempt), parameters_of(version, case.request))
        case StopRun(run, reason):
            runs.stop(run, reason)
        case BuryRun(run, reason):
            runs.bury(run, reason)
        case SetState(state):
            _set_state(case, state)
        case Settle():
            registry.note_done(version.name, version.version, case.digest)
        case GiveUp(reason):
            registry.note_gave_up(version, case.digest, case.attempt, reason)
    return None


def _set_state(case: Case, state: State) -> None:
    """Between the look and this note a run may have ended and noted it: then its note is put back."""
    registry.note_state(case.version, state)
    now = registry.watched_version(case.version.name, case.version.version) if state is State.RUNNING else None
    if now is not None and now.tags.get(Tag.STATE) != State.DONE and is_settled(case._replace(version=now)):
        registry.note_state(now, State.DONE)
