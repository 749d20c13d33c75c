"""One version, one look: start what is missing, resume what died, settle what is finished. Webhook and reconciler share it.

The idempotency key is model/version/request/attempt, so whoever comes second gets the run of whoever came first. A version is
settled when its tag `calig.settled` holds the digest of what is asked for now; everything else follows from the runs.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from components import registry, watching
from flows.trigger.prefect_runs import Runs
from flows.trigger.request import parameters_of, request_for
from schemas.tags import Tag
from schemas.trigger import Action, Request, Run, RunState, State, Step, WatchedVersion
from schemas.watch import WatchConfig


class Look(NamedTuple):
    """All that one decision rests on."""

    version: WatchedVersion
    watch: WatchConfig
    runs: Runs
    request: Request
    dry_run: bool = False

    @property
    def digest(self) -> str:
        """Of what is asked for now."""
        return self.request.digest(self.version)

    @property
    def attempt(self) -> int:
        """Number of the last attempt at this very request; 0: none yet."""
        attempts = self.version.tags.get(Tag.ATTEMPTS, "")
        return int(attempts) if self.version.tags.get(Tag.REQUEST) == self.digest and attempts.isdecimal() else 0

    def key(self, attempt: int) -> str:
        """Idempotency key of an attempt."""
        return f"{self.version.name}/{self.version.version}/{self.digest}/{attempt}"


def submit(version: WatchedVersion, watch: WatchConfig, runs: Runs, *, dry_run: bool = False) -> Step:
    """Do what is to be done about `version` now; with `dry_run` only say it.

    Raises:
        CouldNotRunError: registry or Prefect do not answer; looking again later does the same or continues it.
    """
    request = request_for(version, watch)
    if request is None:
        return Step(model=version.name, version=version.version, action=Action.NOT_WATCHED)
    look = Look(version, watch, runs, request, dry_run)
    if version.status == "PENDING_REGISTRATION":
        return _step(look, Action.WAITS, "its registration is not finished")
    if is_settled(version, look.digest):
        return _settled(look)
    if version.status == "FAILED_REGISTRATION":
        return _give_up(look, f"its registration failed: {version.status_message or 'no message'}")
    if request.problem is not None:
        return _give_up(look, request.problem)
    return _begin(look, 1, Action.STARTED) if look.attempt == 0 else _go_on(look)


def is_settled(version: WatchedVersion, digest: str) -> bool:
    """Whether `version` carries a verdict on the very request with `digest`."""
    return version.tags.get(Tag.SETTLED) == digest and Tag.VERDICT in version.tags


def _settled(look: Look) -> Step:
    reason = look.version.tags.get(Tag.REASON)
    state, action = (State.DONE, Action.DONE) if reason is None else (State.GAVE_UP, Action.GAVE_UP)
    _relabel(look, state)
    return _step(look, action, reason or "")


def _relabel(look: Look, state: State) -> None:
    """Two that looked at once may have left an older state: the tag is for people, so it is put right."""
    if not look.dry_run and look.version.tags.get(Tag.STATE) != state:
        registry.note_state(look.version, state)


def _note_running(look: Look) -> None:
    """Between our look and our note the run may have ended and noted it: then its note is put back."""
    _relabel(look, State.RUNNING)
    if look.dry_run or look.version.tags.get(Tag.STATE) == State.RUNNING:
        return
    now = registry.watched_version(look.version.name, look.version.version)
    if now is not None and is_settled(now, look.digest):
        _relabel(look._replace(version=now), State.DONE)


def _go_on(look: Look) -> Step:
    """An attempt was made before: what became of it?"""
    run = look.runs.find(look.key(look.attempt))
    if run is None:  # noted, but handing over failed: do it now
        return _begin(look, look.attempt, Action.STARTED)
    if run.state is RunState.WAITING:
        return _step(look, Action.UNDER_WAY, "waits for a worker", run)
    if run.state is RunState.COMPLETED:
        return _complete(look, run)
    return _watch_over(look, run) if run.state is RunState.RUNNING else _after_death(look, run)


def _watch_over(look: Look, run: Run) -> Step:
    """A process that hangs still beats: who beats has to take steps too, else it is stopped, and if it cannot be, given up."""
    silent_s, idle_s = ((datetime.now(UTC) - at).total_seconds() for at in (run.last_sign, run.last_step or run.last_sign))
    if silent_s > look.watch.stale_after_s:
        return _after_death(look, _buried(look, run, f"no sign of life for {silent_s:.0f} s"))
    if idle_s <= (look.watch.stale_after_s if run.stopping else look.watch.stuck_after_s):
        _note_running(look)
        return _step(look, Action.UNDER_WAY, "stopping" if run.stopping else "", run)
    if run.stopping:
        return _after_death(look, _buried(look, run, f"hung, and did not stop within {idle_s:.0f} s"))
    if not look.dry_run:
        look.runs.stop(run, f"no task began or ended for {idle_s:.0f} s")
    return _step(look, Action.UNDER_WAY, f"asked to stop: no task began or ended for {idle_s:.0f} s", run)


def _complete(look: Look, run: Run) -> Step:
    """A completed run has published; its note on the version is best effort, so it is made up for here."""
    if Tag.VERDICT not in look.version.tags:
        return _after_death(look, run.model_copy(update={"message": "the run completed and left no verdict"}))
    if not look.dry_run:
        registry.note_done(look.version.name, look.version.version, look.digest)
    return _step(look, Action.DONE, "", run)


def _buried(look: Look, run: Run, reason: str) -> Run:
    if not look.dry_run:
        look.runs.bury(run, reason)
    return run.model_copy(update={"state": RunState.DIED, "message": reason, "last_sign": datetime.now(UTC)})


def _after_death(look: Look, run: Run) -> Step:
    reason = watching.clean_reason(run.message)
    after = watching.after_failure(run.message, look.attempt, run.last_sign, look.watch)
    if after.give_up:
        return _give_up(look, reason)
    if datetime.now(UTC) < after.at:
        return _step(look, Action.WAITS, f"next attempt at {after.at:%H:%M:%S} UTC; the last died: {reason}", run)
    return _begin(look, look.attempt + 1, Action.RESUMED, f"the last run died: {reason}")


def _begin(look: Look, attempt: int, action: Action, detail: str = "") -> Step:
    """Note the attempt, then hand it over: when that fails, the next look finds the note and does it."""
    if look.dry_run:
        return _step(look, action, detail, attempt=attempt)
    registry.note_queued(look.version, look.digest, attempt)
    run = look.runs.start(look.key(attempt), parameters_of(look.version, look.request))
    return _step(look, action, detail, run, attempt=attempt)


def _give_up(look: Look, reason: str) -> Step:
    """Every version ends with a verdict: what could not be explained is inconclusive."""
    reason = watching.clean_reason(reason)
    if not look.dry_run:
        registry.note_gave_up(look.version, look.digest, look.attempt, reason)
    return _step(look, Action.GAVE_UP, reason)


def _step(look: Look, action: Action, detail: str, run: Run | None = None, *, attempt: int | None = None) -> Step:
    verdict = "inconclusive" if action is Action.GAVE_UP else look.version.tags.get(Tag.VERDICT)
    return Step(
        model=look.version.name,
        version=look.version.version,
        action=action,
        attempt=attempt or look.attempt or None,
        verdict=verdict,
        detail="; ".join(part for part in (detail, _ignored(look.request)) if part),
        run_id=None if run is None else run.id,
    )


def _ignored(request: Request) -> str:
    """The tags that ask for something and are not admitted: nobody should think that they count."""
    return f"ignored, since the watch file does not admit it: {', '.join(request.ignored)}" if request.ignored else ""
