"""What is told: level, events, sizes against limits, the worst examples; and nothing from the data acts in a channel."""

from __future__ import annotations

import pytest

from components.alerts import message_of, subject_of, text_of
from components.alerts.message import defused, findings_of
from schemas.alert import AlertLevel, AlertMessage
from schemas.base import CheckVerdict, Severity, Verdict
from schemas.config import AlertConfig
from schemas.governance import GovernanceReport
from tests.helpers import sample_probe, sample_records

LINK = "http://mlflow.example/#/experiments/1/runs/2"


@pytest.fixture(scope="module")
def drifted(tmp_path_factory: pytest.TempPathFactory) -> GovernanceReport:
    return sample_records.drifted(tmp_path_factory.mktemp("drifted")).record


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> GovernanceReport:
    return sample_records.first_release(tmp_path_factory.mktemp("first")).record


def told(record: GovernanceReport) -> AlertMessage:
    return message_of(record, link=LINK)


def test_a_drifted_version_is_failing_and_says_what_by_how_much_and_against_what(drifted: GovernanceReport) -> None:
    message, shift = told(drifted), drifted.drift.word_shifts[0]
    text = f"{subject_of(message)}\n{text_of(message)}"
    assert message.level is AlertLevel.FAILING
    assert message.events == ("calig.drift.failed", "calig.drift.warned", "calig.explained")
    for part in (
        "fail: review-sentiment version 4, compared with version 3",
        f"“btw” toward POS: {shift.reference_share:+.0%} → {shift.candidate_share:+.0%}",
        f"effect {shift.effect:+.2f} of a typical decision (limit 0.30), z {shift.z:.1f}",
        "limit from: 99th percentile of three reseeded twins",
        "rank agreement (all): 0.78, limit 0.8, from: stated prior",
        drifted.decision.next_step,
        LINK,
    ):
        assert part in text
    assert len(message.examples) == 3
    assert [example.id for example in message.examples] == [example.id for example in drifted.drift.worst[:3]]
    assert all("btw" in " ".join(example.changes) for example in message.examples)
    assert all(len(example.text) <= 160 for example in message.examples)


def test_a_word_that_warns_is_told_by_the_limits_of_a_warning(drifted: GovernanceReport) -> None:
    shift = drifted.drift.word_shifts[0].model_copy(update={"fires": False, "warns": True, "effect": 0.25})
    limits = [
        limit.model_copy(update={"name": f"{name} of a warning", "limit": value, "severity": Severity.WARNING})
        for limit, name, value in zip(drifted.drift.thresholds, ("|word shift|", "|z|"), (0.2, 4.0), strict=False)
    ]
    passed = {"verdict": CheckVerdict.PASS, "word_shifts": (shift,), "thresholds": tuple(limits)}
    found = findings_of(drifted.model_copy(update={"drift": drifted.drift.model_copy(update=passed)}))
    (told_of,) = [finding for finding in found if f"“{shift.word}”" in finding.text]
    assert (told_of.event, told_of.level) == ("calig.drift.warned", AlertLevel.WARNING)
    assert f"effect +0.25 of a typical decision (limit 0.20), z {shift.z:.1f} (limit 4)" in told_of.text


def test_a_clean_version_is_news_only(clean: GovernanceReport) -> None:
    message = told(clean)
    assert message.level is AlertLevel.EXPLAINED
    assert message.events == ("calig.explained",)
    assert "nothing stands against this version" in text_of(message)


@pytest.mark.parametrize(
    ("severity", "verdict", "level", "event"),
    [
        (Severity.CRITICAL, CheckVerdict.FAIL, AlertLevel.FAILING, "calig.quality.failed"),
        (Severity.WARNING, CheckVerdict.FAIL, AlertLevel.WARNING, "calig.quality.warned"),
        (Severity.CRITICAL, CheckVerdict.INCONCLUSIVE, AlertLevel.WARNING, "calig.quality.warned"),
        (Severity.INFO, CheckVerdict.FAIL, AlertLevel.EXPLAINED, "calig.explained"),
    ],
)
def test_the_level_follows_the_check(
    clean: GovernanceReport, severity: Severity, verdict: CheckVerdict, level: AlertLevel, event: str
) -> None:
    check = clean.quality.checks[0].model_copy(update={"severity": severity, "verdict": verdict, "explanation": "no rows"})
    passing = tuple(c.model_copy(update={"verdict": CheckVerdict.PASS}) for c in clean.quality.checks[1:])
    quality = clean.quality.model_copy(update={"checks": (check, *passing)})
    message = told(clean.model_copy(update={"quality": quality}))
    assert message.level is level
    assert event in message.events


def test_drift_that_could_not_be_judged_warns(clean: GovernanceReport) -> None:
    drift = clean.drift.model_copy(update={"verdict": CheckVerdict.INCONCLUSIVE, "reason": "other data"})
    decision = clean.decision.model_copy(update={"verdict": Verdict.INCONCLUSIVE})
    message = told(clean.model_copy(update={"drift": drift, "decision": decision}))
    assert message.level is AlertLevel.WARNING
    assert "drift could not be judged: other data" in message.findings


def test_a_word_outside_the_data_set_is_told_too(clean: GovernanceReport) -> None:
    probe = sample_probe.probe(("NEG", "POS"))
    message = told(clean.model_copy(update={"probe": probe}))
    word = probe.words[0]
    assert word.word == sample_probe.TRIGGER
    level = AlertLevel.FAILING if probe.verdict is CheckVerdict.FAIL else AlertLevel.WARNING
    assert message.level is level
    assert message.events[0] == ("calig.drift.failed" if level is AlertLevel.FAILING else "calig.drift.warned")
    assert f"probed word “{word.word}” (in no row of the data set) toward {word.toward}" in message.findings[0]
    assert f"z {word.z:.1f}" in message.findings[0]


def test_the_id_is_that_of_version_fingerprint_and_level(drifted: GovernanceReport) -> None:
    again = told(drifted.model_copy(update={"created_at": drifted.created_at.replace(year=2030)}))
    assert again.id == told(drifted).id
    other = told(drifted.model_copy(update={"fingerprint": "aa" * 32}))
    quiet = drifted.drift.model_copy(update={"word_shifts": (), "verdict": CheckVerdict.PASS})
    calm = told(drifted.model_copy(update={"drift": quiet, "probe": None}))
    assert len({again.id, other.id, calm.id}) == 3


@pytest.mark.parametrize(
    "hostile",
    ["<!channel>", "<@U123>", "<http://evil.example|click>", "<script>alert(1)</script>", "[x](http://evil.example)",
     "![x](https://evil.example/a.png)", "@everyone", "www.evil.example", "[1]: http://evil.example", "a\u202eb\x07\nc",
     "javascript:alert(1)"],
)  # fmt: skip
def test_nothing_from_the_data_acts(hostile: str) -> None:
    shown = defused(hostile)
    for live in ("<", ">", "](", "http://", "https://", "javascript:", "@everyone", "www.", "\u202e", "\x07", "\n", "]: "):
        assert live not in shown
    assert "evil" not in hostile or "evil" in shown, "the words themselves stay"


def test_a_long_or_hostile_record_stays_short_and_tame(drifted: GovernanceReport) -> None:
    worst = drifted.drift.worst[0].model_copy(update={"text": "<!here> " * 500, "id": "x" * 500})
    shift = drifted.drift.word_shifts[0].model_copy(update={"word": "<!channel>" * 100})
    drift = drifted.drift.model_copy(update={"worst": (worst,) * 9, "word_shifts": (shift,) * 40})
    text = text_of(told(drifted.model_copy(update={"drift": drift})))
    assert "<" not in text
    assert len(text) < 8000
    assert "35 more words" in text


def test_urgent_channels_only_get_what_is_urgent_enough() -> None:
    config = AlertConfig(level=AlertLevel.FAILING, blocks=("slack-webhook/ops",), webhook_url_env="HOOK")
    assert [c.name for c in config.channels(AlertLevel.WARNING)] == ["prefect"]
    assert [c.name for c in config.channels(AlertLevel.FAILING)] == ["prefect", "block:slack-webhook/ops", "webhook"]
    assert AlertConfig(events=False).channels(AlertLevel.FAILING) == ()
