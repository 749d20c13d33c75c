"""Decides what a registered version needs now: a pure function of the version, its request, its run and the time.

Reads, writes and starts nothing; flows/reconcile.py performs what is decided. A version is settled when its tag
`calig.settled` holds the digest of what is asked for now; everything else follows from the runs.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from components import watching
from schemas.tags import Tag
from schemas.trigger import Action, Request, Run, RunState, State, Step, WatchConfig, WatchedVersion


class SetState(NamedTuple):
    """Correct the version's tag `calig.state`, which is for people: of two looks at once the older may have written last."""

    state: State


class Begin(NamedTuple):
    """Note this attempt on the version, then start its run."""

    attempt: int


class StopRun(NamedTuple):
    """Ask the worker to end a run that hangs."""

    run: Run
    reason: str


class BuryRun(NamedTuple):
    """Mark a run crashed that gave no sign of life, before its successor begins."""

    run: Run
    reason: str


class Settle(NamedTuple):
    """Note that the request is done: a completed run has published, but its own note on the version is best effort."""


class GiveUp(NamedTuple):
    """Settle the version as inconclusive: every version ends with a verdict."""

    reason: str


Effect = SetState | Begin | StopRun | BuryRun | Settle | GiveUp


class Decision(NamedTuple):
    """The step to report, and the effects that it consists of, in order."""

    step: Step
    effects: tuple[Effect, ...] = ()


class Case(NamedTuple):
    """A registered version and what it is to be explained with."""

    version: WatchedVersion
    request: Request

    @property
    def digest(self) -> str:
        """Digest of the request."""
        return self.request.digest(self.version)

    @property
    def attempt(self) -> int:
        """Number of the last attempt at this very request; 0: none yet."""
        attempts = self.version.tags.get(Tag.ATTEMPTS, "")
        return int(attempts) if self.version.tags.get(Tag.REQUEST) == self.digest and attempts.isdecimal() else 0

    def key(self, attempt: int) -> str:
        """Idempotency key of an attempt: whoever comes second gets the run of whoever came first."""
        return f"{self.version.name}/{self.version.version}/{self.digest}/{attempt}"


def decide(case: Case, run: Run | None, now: datetime, watch: WatchConfig) -> Decision:
    """What to do about a version.

    Args:
        run: the run with the key that `key_of_run` names; None: there is none.
    """
    return _decide_without_run(case) or _decide_by_run(case, run, now, watch)


def key_of_run(case: Case) -> str | None:
    """Idempotency key of the run that the decision depends on; None: it depends on none."""
    return case.key(case.attempt) if _decide_without_run(case) is None else None


def is_settled(case: Case) -> bool:
    """Whether the version carries a verdict on this very request."""
    return case.version.tags.get(Tag.SETTLED) == case.digest and Tag.VERDICT in case.version.tags


def _decide_without_run(case: Case) -> Decision | None:
    """The decision where the version itself settles it; None: its last attempt has to be looked up."""
    version = case.version
    if version.status == "PENDING_REGISTRATION":
        return Decision(_step(case, Action.WAITS, "its registration is not finished"))
    if is_settled(case):
        return _settled(case)
    if version.status == "FAILED_REGISTRATION":
        return _give_up(case, f"its registration failed: {version.status_message or 'no message'}")
    if case.request.problem is not None:
        return _give_up(case, case.request.problem)
    return _begin(case, 1, Action.STARTED) if case.attempt == 0 else None


def _settled(case: Case) -> Decision:
    reason = case.version.tags.get(Tag.REASON)
    state, action = (State.DONE, Action.DONE) if reason is None else (State.GAVE_UP, Action.GAVE_UP)
    return Decision(_step(case, action, reason or ""), _corrected(case, state))


def _decide_by_run(case: Case, run: Run | None, now: datetime, watch: WatchConfig) -> Decision:
    if run is None:  # the attempt was noted, but its run was not started
        return _begin(case, case.attempt, Action.STARTED)
    if run.state is RunState.WAITING:
        return Decision(_step(case, Action.UNDER_WAY, "waits for a worker", run))
    if run.state is RunState.RUNNING:
        return _supervise(case, run, now, watch)
    if run.state is RunState.DIED:
        return _after_death(case, run, now, watch)
    if Tag.VERDICT in case.version.tags:
        return Decision(_step(case, Action.DONE, "", run), (Settle(),))
    return _after_death(case, run.model_copy(update={"message": "the run completed and left no verdict"}), now, watch)


def _supervise(case: Case, run: Run, now: datetime, watch: WatchConfig) -> Decision:
    """A running run has to beat, and to take steps: a process that hangs still beats."""
    silent_s, idle_s = ((now - at).total_seconds() for at in (run.last_sign, run.last_step or run.last_sign))
    if silent_s > watch.stale_after_s:
        return _replace_run(case, run, f"no sign of life for {silent_s:.0f} s", now, watch)
    if idle_s <= (watch.stale_after_s if run.stopping else watch.stuck_after_s):
        step = _step(case, Action.UNDER_WAY, "stopping" if run.stopping else "", run)
        return Decision(step, _corrected(case, State.RUNNING))
    if run.stopping:
        return _replace_run(case, run, f"hung, and did not stop within {idle_s:.0f} s", now, watch)
    reason = f"no task began or ended for {idle_s:.0f} s"
    return Decision(_step(case, Action.UNDER_WAY, f"asked to stop: {reason}", run), (StopRun(run, reason),))


def _replace_run(case: Case, run: Run, reason: str, now: datetime, watch: WatchConfig) -> Decision:
    buried = run.model_copy(update={"state": RunState.DIED, "message": reason, "last_sign": now})
    following = _after_death(case, buried, now, watch)
    return following._replace(effects=(BuryRun(run, reason), *following.effects))


def _after_death(case: Case, run: Run, now: datetime, watch: WatchConfig) -> Decision:
    reason = watching.clean_reason(run.message)
    after = watching.after_failure(run.message, case.attempt, run.last_sign, watch)
    if after.give_up:
        return _give_up(case, reason)
    if now < after.at:
        detail = f"next attempt at {after.at:%H:%M:%S} UTC; the last died: {reason}"
        return Decision(_step(case, Action.WAITS, detail, run))
    return _begin(case, case.attempt + 1, Action.RESUMED, f"the last run died: {reason}")


def _begin(case: Case, attempt: int, action: Action, detail: str = "") -> Decision:
    return Decision(_step(case, action, detail).model_copy(update={"attempt": attempt}), (Begin(attempt),))


def _give_up(case: Case, reason: str) -> Decision:
    reason = watching.clean_reason(reason)
    return Decision(_step(case, Action.GAVE_UP, reason), (GiveUp(reason),))


def _corrected(case: Case, state: State) -> tuple[Effect, ...]:
    return () if case.version.tags.get(Tag.STATE) == state else (SetState(state),)


def _step(case: Case, action: Action, detail: str, run: Run | None = None) -> Step:
    return Step(
        model=case.version.name,
        version=case.version.version,
        action=action,
        attempt=case.attempt or None,
        verdict="inconclusive" if action is Action.GAVE_UP else case.version.tags.get(Tag.VERDICT),
        detail="; ".join(part for part in (detail, _ignored(case.request)) if part),
        run_id=None if run is None else run.id,
    )


def _ignored(request: Request) -> str:
    """The tags that ask for something without being admitted, so that nobody thinks they count."""
    return f"ignored, since the watch file does not admit it: {', '.join(request.ignored)}" if request.ignored else ""
