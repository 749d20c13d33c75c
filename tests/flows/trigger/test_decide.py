"""Every action of the trigger and every reason for it, decided from values alone: no registry, no Prefect, no clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.trigger.decide import Begin, BuryRun, Case, Decision, GiveUp, SetState, Settle, StopRun, decide, key_of_run
from schemas.tags import Tag
from schemas.trigger import Action, Request, Run, RunState, State, WatchConfig, WatchedVersion

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
WATCH = WatchConfig.model_validate(
    {"models": [{"name": "m"}], "max_attempts": 3, "backoff_s": 60, "stale_after_s": 600, "stuck_after_s": 3600}
)
REQUEST = Request(
    dataset=Path("/data/rows.jsonl"),
    dataset_digest="d1",
    settings={},
    suite_digest=None,
    reference=None,
    limit=None,
    output=Path("runs"),
)
VERSION = WatchedVersion(name="m", version="1", created_ms=0, status="READY", tags={}, model_tags={})
DIGEST = REQUEST.digest(VERSION)


def attempted(attempt: int = 1, **tags: str) -> dict[str, str]:
    return {Tag.REQUEST: DIGEST, Tag.ATTEMPTS: str(attempt), **tags}


def settled(state: State, verdict: str, **tags: str) -> dict[str, str]:
    return attempted(**{Tag.SETTLED: DIGEST, Tag.STATE: state, Tag.VERDICT: verdict, **tags})


def case(tags: dict[str, str] | None = None, *, request: Request = REQUEST, **version: Any) -> Case:
    return Case(VERSION.model_copy(update={"tags": tags or {}, **version}), request)


def ran(state: RunState, *, silent_s: float = 0.0, idle_s: float | None = None, message: str = "", stopping: bool = False) -> Run:
    step = None if idle_s is None else NOW - timedelta(seconds=idle_s)
    sign = NOW - timedelta(seconds=silent_s)
    return Run(id="r", state=state, message=message, last_sign=sign, last_step=step, stopping=stopping)


def decided(tags: dict[str, str] | None = None, run: Run | None = None, **version: Any) -> Decision:
    return decide(case(tags, **version), run, NOW, WATCH)


@pytest.mark.parametrize(
    ("version", "action", "detail", "effects"),
    [
        ({"status": "PENDING_REGISTRATION"}, Action.WAITS, "its registration is not finished", ()),
        (
            {"status": "FAILED_REGISTRATION"},
            Action.GAVE_UP,
            "its registration failed: no message",
            (GiveUp("its registration failed: no message"),),
        ),
        (
            {"request": REQUEST.model_copy(update={"problem": "no data set"})},
            Action.GAVE_UP,
            "no data set",
            (GiveUp("no data set"),),
        ),
        ({}, Action.STARTED, "", (Begin(1),)),
        ({"tags": {Tag.REQUEST: "another", Tag.ATTEMPTS: "2"}}, Action.STARTED, "", (Begin(1),)),
        ({"tags": attempted() | {Tag.ATTEMPTS: "many"}}, Action.STARTED, "", (Begin(1),)),
        ({"tags": settled(State.DONE, "fail")}, Action.DONE, "", ()),
        ({"tags": settled(State.RUNNING, "pass")}, Action.DONE, "", (SetState(State.DONE),)),
        ({"tags": settled(State.GAVE_UP, "inconclusive", **{Tag.REASON: "no disk"})}, Action.GAVE_UP, "no disk", ()),
        (
            {"tags": settled(State.QUEUED, "inconclusive", **{Tag.REASON: "no disk"})},
            Action.GAVE_UP,
            "no disk",
            (SetState(State.GAVE_UP),),
        ),
    ],
)
def test_what_the_version_itself_decides_without_looking_up_a_run(version, action, detail, effects) -> None:
    found = decided(**version)
    assert (found.step.action, found.step.detail, found.effects) == (action, detail, effects)
    assert key_of_run(case(**version)) is None


def test_a_retry_or_a_lost_verdict_opens_a_settled_version_again() -> None:
    assert decided(settled(State.DONE, "pass") | {Tag.RETRY: "1"}).effects == (Begin(1),)
    lost = settled(State.DONE, "pass")
    del lost[Tag.VERDICT]
    assert key_of_run(case(lost)) == f"m/1/{DIGEST}/1"


@pytest.mark.parametrize(
    ("run", "action", "detail", "effects"),
    [
        (None, Action.STARTED, "", (Begin(1),)),
        (ran(RunState.WAITING), Action.UNDER_WAY, "waits for a worker", ()),
        (ran(RunState.RUNNING, silent_s=600), Action.UNDER_WAY, "", (SetState(State.RUNNING),)),
        (ran(RunState.RUNNING, idle_s=3600), Action.UNDER_WAY, "", (SetState(State.RUNNING),)),
        (ran(RunState.RUNNING, idle_s=600, stopping=True), Action.UNDER_WAY, "stopping", (SetState(State.RUNNING),)),
        (
            ran(RunState.DIED, message="Crashed: x", silent_s=59),
            Action.WAITS,
            "next attempt at 12:00:01 UTC; the last died: Crashed: x",
            (),
        ),
        (ran(RunState.DIED, message="Crashed: x", silent_s=60), Action.RESUMED, "the last run died: Crashed: x", (Begin(2),)),
        (
            ran(RunState.DIED, message="Failed: InputError: no column"),
            Action.GAVE_UP,
            "Failed: InputError: no column",
            (GiveUp("Failed: InputError: no column"),),
        ),
        (
            ran(RunState.COMPLETED, silent_s=60),
            Action.RESUMED,
            "the last run died: the run completed and left no verdict",
            (Begin(2),),
        ),
    ],
)
def test_what_became_of_the_run_decides(run, action, detail, effects) -> None:
    found = decided(attempted(), run)
    assert (found.step.action, found.step.detail, found.effects) == (action, detail, effects)


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ({"silent_s": 601}, "no sign of life for 601 s"),
        ({"idle_s": 601, "stopping": True}, "hung, and did not stop within 601 s"),
    ],
)
def test_a_dead_run_is_buried_and_its_successor_waits_its_pause(run: dict[str, Any], reason: str) -> None:
    dead = ran(RunState.RUNNING, **run)
    found = decided(attempted(), dead)
    assert found.effects == (BuryRun(dead, reason),)
    assert found.step.detail == f"next attempt at 12:01:00 UTC; the last died: {reason}"
    at_once = decide(case(attempted()), dead, NOW, WATCH.model_copy(update={"backoff_s": 0.0}))
    assert at_once.effects == (BuryRun(dead, reason), Begin(2))
    last = decided(attempted(3), dead)
    assert (last.step.action, last.effects) == (Action.GAVE_UP, (BuryRun(dead, reason), GiveUp(reason)))


def test_a_run_that_beats_and_takes_no_step_is_asked_to_stop() -> None:
    hanging = ran(RunState.RUNNING, idle_s=3601)
    found = decided(attempted(), hanging)
    assert (found.step.action, found.step.detail) == (Action.UNDER_WAY, "asked to stop: no task began or ended for 3601 s")
    assert found.effects == (StopRun(hanging, "no task began or ended for 3601 s"),)


def test_a_completed_run_with_a_verdict_settles_the_version() -> None:
    found = decided(attempted(**{Tag.VERDICT: "fail"}), ran(RunState.COMPLETED))
    assert (found.step.action, found.step.verdict, found.effects) == (Action.DONE, "fail", (Settle(),))


@pytest.mark.parametrize(("attempt", "pause_s"), [(1, 60), (2, 120)])
def test_the_pause_doubles_with_each_attempt_and_the_last_gives_up(attempt: int, pause_s: int) -> None:
    def after(silent_s: float) -> Action:
        return decided(attempted(attempt), ran(RunState.DIED, message="Crashed: x", silent_s=silent_s)).step.action

    assert (after(pause_s - 1), after(pause_s)) == (Action.WAITS, Action.RESUMED)
    assert decided(attempted(3), ran(RunState.DIED, message="Crashed: x")).effects == (GiveUp("Crashed: x"),)


def test_the_step_names_attempt_verdict_run_and_the_tags_that_do_not_count() -> None:
    request = REQUEST.model_copy(update={"ignored": (Tag.CONFIG,)})
    step = decide(case(attempted(2, **{Tag.VERDICT: "pass"}), request=request), ran(RunState.WAITING), NOW, WATCH).step
    assert (step.model, step.version, step.attempt, step.verdict, step.run_id) == ("m", "1", 2, "pass", "r")
    assert step.detail == "waits for a worker; ignored, since the watch file does not admit it: calig.config"
    assert decided().step.attempt == 1
    assert decided(run=None, status="FAILED_REGISTRATION").step.verdict == "inconclusive"
