"""The outbox: whole files, no second message for the same thing, one sender at a time, and damage that is survived."""

from __future__ import annotations

import multiprocessing
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components.alerts import Outbox, message_of
from components.common.errors import CouldNotRunError
from schemas.alert import AlertMessage, Channel
from tests.helpers import sample_records

PREFECT, SLACK = Channel(kind="prefect"), Channel(kind="block", block="slack-webhook/ops")


@pytest.fixture
def message(tmp_path: Path) -> AlertMessage:
    return message_of(sample_records.drifted(tmp_path, n=12).record, link="somewhere")


def test_a_message_waits_until_every_channel_has_it(message: AlertMessage, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    entry = outbox.put(message, (PREFECT, SLACK), registered=False)
    assert outbox.unfinished() == [entry]
    half = entry.model_copy(update={"delivered": {"prefect": datetime.now(UTC)}})
    outbox.save(half)
    assert [c.name for c in outbox.unfinished()[0].pending] == ["block:slack-webhook/ops"]
    outbox.save(half.model_copy(update={"delivered": {**half.delivered, SLACK.name: datetime.now(UTC)}}))
    assert outbox.unfinished() == []
    assert [path.name for path in outbox.folder.iterdir()] == [f"{message.id}.json"]


def test_the_same_message_again_changes_nothing_and_a_new_channel_gets_it(message: AlertMessage, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    sent = outbox.put(message, (PREFECT,), registered=False).model_copy(update={"delivered": {"prefect": datetime.now(UTC)}})
    outbox.save(sent)
    assert outbox.put(message, (PREFECT,), registered=False) == sent
    assert outbox.unfinished() == []
    assert outbox.put(message, (PREFECT, SLACK), registered=False).pending == (SLACK,)


def test_what_is_told_but_not_noted_on_a_version_is_unfinished(message: AlertMessage, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    entry = outbox.put(message, (PREFECT,), registered=True).model_copy(update={"delivered": {"prefect": datetime.now(UTC)}})
    outbox.save(entry)
    assert outbox.unfinished() == [entry]
    outbox.save(entry.model_copy(update={"noted": ("prefect",)}))
    assert outbox.unfinished() == []


def test_damage_is_kept_and_named(message: AlertMessage, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.put(message, (PREFECT,), registered=False)
    (outbox.folder / "broken.json").write_text("{")
    assert len(outbox.unfinished()) == 1
    assert [path.name for path in outbox.unreadable()] == ["broken.json"]


def _hold(folder: str, held: object) -> None:
    with Outbox(Path(folder)).locked():
        held.set()  # type: ignore[attr-defined]
        time.sleep(60)


def test_one_sender_at_a_time_and_a_killed_one_frees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.alerts.outbox._LOCK_WAIT_S", 0.2)
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    other = context.Process(target=_hold, args=(str(tmp_path), held))
    other.start()
    try:
        assert held.wait(60)
        with pytest.raises(CouldNotRunError, match="another process"), Outbox(tmp_path).locked():
            pass
    finally:
        other.kill()
        other.join()
    with Outbox(tmp_path).locked():
        pass
