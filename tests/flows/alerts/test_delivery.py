"""Alerts with the real Prefect, the real registry and a real receiver: told once, kept while it is down, never in the way."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from components import registry
from components.alerts import Outbox
from components.common.errors import CouldNotRunError, PublishError
from flows.alerts import delivery
from flows.common import progress
from flows.explain_release import explain_release
from schemas.config import AlertConfig, PipelineConfig
from tests.components.registry.publishing import Results, new_version, results_for
from tests.conftest import TinyRegistry
from tests.helpers.receiver import Receiver, receiving

KEY = "whsec_azN5LXRoYXQtbm9ib2R5LW1heS1zZWUt"
AUTOMATIONS = Path(__file__).parents[3] / "deploy" / "automations.yaml"


class Telling:
    """A published, drifted version, and `tell` with a configuration; what was said is kept."""

    def __init__(self, results: Results, output: Path) -> None:
        self.results, self.output, self.said = results, output, []
        self.published = results.publish()

    def tell(self, output: Path | None = None, **config: Any) -> None:
        settings = AlertConfig(webhook_url_env="TEST_HOOK_URL", webhook_secret_env="TEST_HOOK_KEY", **config)  # noqa: S106
        delivery.tell(self.results.record, self.results.folder, self.published, config=settings, output=output or self.output)

    def tags(self) -> dict[str, str]:
        return {k: v for k, v in self.results.version().tags.items() if k.startswith("calig.alert.")}


@pytest.fixture
def telling(tiny_registry: TinyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _prefect: None) -> Telling:
    monkeypatch.setenv("TEST_HOOK_KEY", KEY)
    monkeypatch.setattr("flows.alerts.delivery.send_alert.retry_delay_seconds", [0, 0])
    snapshot = new_version(tiny_registry, f"told-{tmp_path.name}", tmp_path)
    found = Telling(results_for(snapshot, tmp_path / "results"), tmp_path / "runs")

    class Recorder(progress.LineReporter):
        def say(self, text: str) -> None:
            found.said.append(text)

    monkeypatch.setattr(progress, "_current", Recorder())
    return found


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch):
    """Start one that answers as told, under the variable that the configuration names."""
    stack = []

    def start(*answers: int) -> Receiver:
        opened = receiving(*answers)
        stack.append(opened)
        started = opened.__enter__()
        monkeypatch.setenv("TEST_HOOK_URL", started.url)
        return started

    yield start
    for opened in stack:
        opened.__exit__(None, None, None)


def test_one_alert_ever_for_a_version_fingerprint_and_level(telling: Telling, receiver, tmp_path: Path) -> None:
    got = receiver(200)
    telling.tell()
    telling.tell()
    assert len(got.got) == 1
    assert telling.said == []
    fingerprint = telling.results.record.fingerprint[:12]
    assert telling.tags() == {f"calig.alert.failing.{fingerprint}": "prefect,webhook"}
    telling.tell(output=tmp_path / "another-machine")
    assert len(got.got) == 1, "the tag on the version is enough"
    assert Outbox(tmp_path / "another-machine").unfinished() == []


def test_a_receiver_that_recovers_within_the_retries_is_not_noticed(telling: Telling, receiver) -> None:
    got = receiver(503, 500, 200)
    telling.tell()
    assert got.given == [503, 500, 200]
    assert telling.said == []
    assert len({headers["webhook-id"] for headers, _ in got.got}) == 1


def test_a_receiver_that_is_down_gets_it_later_and_only_what_it_lacks(telling: Telling, receiver, capsys) -> None:
    got = receiver(500)
    telling.tell()
    assert len(got.got) == 3
    (line,) = telling.said
    assert "webhook: the webhook did not take the message: it answered 500" in line
    assert "calig alerts resend" in line
    assert list(telling.tags().values()) == ["prefect"]
    said: list[str] = []
    assert delivery.resend(telling.output, said.append) == 1
    assert said[-1] == "1 waited, 0 sent, 1 still wait"
    got.answers[:] = [200]
    assert delivery.resend(telling.output, said.append) == 0
    assert said[-1] == "1 waited, 1 sent, 0 still wait"
    assert got.taken == 1
    assert delivery.resend(telling.output, said.append) == 0
    assert said[-1] == "nothing waits"
    telling.tell()
    assert got.taken == 1
    assert list(telling.tags().values()) == ["prefect,webhook"]


def test_many_that_wait_do_not_hold_up_a_run(telling: Telling, receiver) -> None:
    got = receiver(500)
    telling.tell()
    first = telling.results.record
    for n in range(3):
        telling.results = telling.results._replace(record=first.model_copy(update={"fingerprint": f"{n}" * 64}))
        telling.tell()
    assert len(got.got) == 4 * 3, "three tries per run, not per message that waits"
    assert len(Outbox(telling.output).unfinished()) == 4
    got.answers[:] = [200]
    assert delivery.resend(telling.output, lambda _: None) == 0
    assert got.taken == 4
    assert len({headers["webhook-id"] for headers, _ in got.got}) == 4


def test_another_machine_sends_only_what_is_missing(telling: Telling, receiver, tmp_path: Path) -> None:
    down = receiver(500)
    telling.tell()
    up = receiver(200)
    telling.tell(output=tmp_path / "second")
    assert up.taken == 1
    said: list[str] = []
    assert delivery.resend(telling.output, said.append) == 0
    assert up.taken == 1
    assert down.taken == 0


def test_a_registry_that_is_down_delays_the_note_not_the_alert(telling: Telling, receiver, monkeypatch) -> None:
    got = receiver(200)

    def down(*_: object) -> None:
        raise CouldNotRunError("no registry")

    with monkeypatch.context() as broken:
        broken.setattr(registry, "told_channels", down)
        broken.setattr(registry, "note_told", down)
        telling.tell()
    assert got.taken == 1
    assert telling.tags() == {}
    telling.tell()
    assert got.taken == 1
    assert list(telling.tags().values()) == ["prefect,webhook"]


def test_nothing_here_can_cost_a_verdict(telling: Telling, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("the disk is full of s3cret-path")

    monkeypatch.setattr(Outbox, "put", broken)
    telling.tell()
    assert telling.said == ["alerts: not sent: OSError; the verdict stands"]


def test_no_secret_is_in_logs_files_or_tags(telling: Telling, receiver, caplog) -> None:
    receiver(500)
    with caplog.at_level(logging.DEBUG):
        telling.tell(blocks=("slack-webhook/none-of-that-name",))
    kept = "".join(path.read_text() for path in Outbox(telling.output).folder.glob("*.json"))
    for text in (caplog.text, kept, str(telling.tags()), "\n".join(telling.said)):
        assert KEY not in text
        assert "s3cret-path" not in text
    assert "Prefect knows no such block" in "\n".join(telling.said)


def test_blocks_are_told_and_quote_no_address_when_they_fail(telling: Telling, receiver) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    got = receiver(200)
    hook = CustomWebhookNotificationBlock(name="ops", url=got.url, json_data={"text": "{{subject}}\n{{body}}"})
    hook.save("ops-of-calig", overwrite=True)
    telling.tell(blocks=("custom-webhook/ops-of-calig",))
    bodies = [json.loads(body) for headers, body in got.got if "webhook-id" not in headers]
    assert len(bodies) == 1
    assert "“btw” toward POS" in bodies[0]["text"]
    assert "block:custom-webhook/ops-of-calig" in next(iter(telling.tags().values()))

    CustomWebhookNotificationBlock(name="ops", url=receiver(403).url, json_data={}).save("closed", overwrite=True)
    telling.tell(blocks=("custom-webhook/closed",))
    assert any("block:custom-webhook/closed: the block did not deliver: it answered 403" in line for line in telling.said)
    assert "s3cret-path" not in "".join(telling.said)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's own
def test_slack_shows_text_and_no_mention(telling: Telling, receiver) -> None:
    from prefect.blocks.notifications import SlackWebhook

    from components.alerts import message_of, subject_of, text_of

    record = telling.results.record
    shift = record.drift.word_shifts[0].model_copy(update={"word": "<!channel> & <http://evil.example|x>"})
    record = record.model_copy(update={"drift": record.drift.model_copy(update={"word_shifts": (shift,)}), "probe": None})
    got = receiver(200)
    block = SlackWebhook(url="https://hooks.slack.com/services/T12345678/B12345678/abcdefghijklmnopqrstuvwx")
    block._apprise_client.servers[0].webhook_url = got.url
    message = message_of(record, link="http://mlflow.example/#/runs/a_b")
    block.notify(body=text_of(message), subject=subject_of(message))
    text = json.loads(got.got[0][1])["attachments"][0]["text"]
    assert "<" not in text
    assert "‹!channel›" in text
    assert "&lt;" not in text
    assert "http://mlflow.example/#/runs/a_b" in text


def test_events_arrive_once_with_the_version_as_their_resource(telling: Telling, receiver) -> None:
    from prefect.client.orchestration import get_client

    receiver(200)
    telling.tell()
    message = next(iter(_messages(telling.output)))
    delivery.emit(message)  # a second time, as after a crash before the note
    wanted = {str(delivery.event_id(message, event)): event for event in message.events}
    assert set(wanted.values()) == {"calig.drift.failed", "calig.drift.warned", "calig.explained"}
    with get_client(sync_client=True) as client:
        events = _eventually(lambda: _events(client, set(wanted)), len(wanted))
    assert {event["id"]: event["event"] for event in events} == wanted
    for event in events:
        assert event["resource"]["prefect.resource.id"] == f"calig.model-version.{message.model}.{message.version}"
        assert event["payload"]["text"].startswith("• the word “btw”")


@pytest.mark.usefixtures("tiny_registry", "_prefect")
def test_the_automations_are_what_prefect_takes() -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore

    block = str(
        CustomWebhookNotificationBlock(name="x", url="http://127.0.0.1:1/", json_data={}).save("automated", overwrite=True)
    )
    text = AUTOMATIONS.read_text(encoding="utf-8").replace("00000000-0000-0000-0000-000000000000", block)
    automations = [AutomationCore.model_validate(one) for one in yaml.safe_load(text)["automations"]]
    assert {event for one in automations for event in one.trigger.expect} == {
        "calig.drift.failed",
        "calig.quality.failed",
        "calig.drift.warned",
        "calig.quality.warned",
    }
    with get_client(sync_client=True) as client:
        for one in automations:
            created = client.request("POST", "/automations/", json=one.model_dump(mode="json"))
            assert created.status_code == 201, created.text
            assert created.json()["actions"][0]["block_document_id"] == block


def test_a_run_tells_and_one_whose_publishing_fails_tells_too(model, dataset, tmp_path, receiver, monkeypatch) -> None:
    monkeypatch.setenv("TEST_HOOK_KEY", KEY)
    got = receiver(200)
    hook = {"webhook_url_env": "TEST_HOOK_URL", "webhook_secret_env": "TEST_HOOK_KEY", "level": "explained"}
    config = PipelineConfig(alerts=AlertConfig.model_validate(hook))

    def refuse(*_, **__):
        raise PublishError("no")

    with monkeypatch.context() as refused:
        refused.setattr(registry, "publish", refuse)
        refused.setattr("flows.pipeline.tasks.publish.retry_delay_seconds", [0, 0])
        with pytest.raises(PublishError):
            explain_release(model, dataset, config=config, output=tmp_path / "runs")
    assert got.taken == 1
    outcome = explain_release(model, dataset, config=config, output=tmp_path / "runs")
    assert got.taken == 1, "told before, although not published then"
    quiet = explain_release(model, dataset, output=tmp_path / "runs")
    assert quiet.reused, "who is told is no part of the fingerprint"
    assert quiet.record.fingerprint == outcome.record.fingerprint
    assert json.loads(got.got[0][1])["data"]["verdict"] == outcome.record.decision.verdict


def _messages(output: Path):
    return [entry for path in Outbox(output).folder.glob("*.json") if (entry := Outbox(output)._read(path).message)]


def _events(client: Any, ids: set[str]) -> list[dict[str, Any]]:
    answer = client.request("POST", "/events/filter", json={"filter": {"event": {"prefix": ["calig."]}}, "limit": 50})
    return [event for event in answer.json()["events"] if event["id"] in ids]


def _eventually(look: Any, n: int) -> list[Any]:
    deadline = time.monotonic() + 30
    while len(found := look()) < n and time.monotonic() < deadline:
        time.sleep(0.3)
    return found
