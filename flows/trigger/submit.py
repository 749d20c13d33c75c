"""Performs what flows/trigger/decide.py decides about one version, for webhook and reconciler alike."""

from __future__ import annotations

from datetime import UTC, datetime

from components import registry
from flows.trigger.decide import Begin, BuryRun, Case, Effect, GiveUp, SetState, Settle, StopRun, decide, is_settled, key_of_run
from flows.trigger.prefect_runs import Runs
from flows.trigger.request import parameters_of, request_for
from schemas.tags import Tag
from schemas.trigger import Action, Run, State, Step, WatchConfig, WatchedVersion


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
