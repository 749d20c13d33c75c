"""The gate's policy: settings as strict as its own, the suite, the data, the comparison, the registry's entry, and signatures."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from components.gate import Circumstances, judge, policy, write_junit
from components.gate.policy import more_lenient
from components.quality.suite.load import suite_digest
from schemas.base import CheckVerdict, Verdict
from schemas.config import GateConfig, PipelineConfig
from schemas.evidence import Evidence, SealState, Standing, Verification
from schemas.gate import GateResult
from schemas.governance import GovernanceReport
from schemas.release import ModelRef, ModelSource
from tests.helpers import sample_records


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> GovernanceReport:
    return sample_records.first_release(tmp_path_factory.mktemp("record"), n=30).record


def judged(record: GovernanceReport, around: Circumstances = Circumstances(), **config: object) -> GateResult:  # noqa: B008
    evidence = Evidence(record=record, run_id="r1", registered=record.model.registered)
    now = record.created_at + timedelta(days=1)
    return judge(evidence, GateConfig.model_validate(config), now=now, around=around)


def config(**sections: dict[str, object]) -> PipelineConfig:
    return PipelineConfig.model_validate(sections)


def champion(version: str) -> Circumstances:
    name = "review-sentiment"
    ref = ModelRef(uri=f"models:/{name}/{version}", source=ModelSource.REGISTRY, name=name, version=version, alias="champion")
    return Circumstances(champion=ref)


@pytest.mark.parametrize(
    ("recorded", "asked", "said"),
    [
        ({}, {}, ()),
        ({"drift": {"word_shift": 5.0}}, {}, ("drift.word_shift is 5.0, required at most 0.3",)),
        ({"drift": {"word_shift": 0.1, "min_rows": 100}}, {}, ()),
        ({"drift": {"false_discovery_rate": 0.0001}}, {}, ("drift.false_discovery_rate is 0.0001, required at least 0.01",)),
        ({"probe": {"enabled": False}}, {}, ("probe.enabled is False, required at least True",)),
        ({}, {"probe": {"enabled": False}}, ()),
        ({"probe": {"halving": False, "min_effect": 0.1, "transformed_effect": 0.1}}, {}, ()),
        ({}, {"probe": {"halving": False}}, ("probe.halving is True, required at most False",)),
        ({}, {"probe": {"transformations": ["case"]}}, ()),
        (
            {"probe": {"transformations": []}},
            {"probe": {"transformations": ["case"]}},
            ("probe.transformations is [], required ['case']",),
        ),
        ({"probe": {"certain_z": 99.0}}, {}, ("probe.certain_z is 99.0, required empty",)),
        ({"probe": {"across_versions": "lord"}}, {}, ("probe.across_versions is lord, required none",)),
        ({}, {"probe": {"across_versions": "lord"}}, ()),
        ({"probe": {"level_floor": 0.001}}, {}, ("probe.level_floor is 0.001, required at least 0.01",)),
        ({"probe": {"twins": ["models:/a/1"]}}, {}, ("probe.twins is ['models:/a/1'], required []",)),
        ({"attribution": {"max_length": 8}}, {}, ("attribution.max_length is 8, required at least empty",)),
        ({"attribution": {"max_length": None}}, {"attribution": {"max_length": 512}}, ()),
        ({"quality": {"falsification_points": 3}}, {"quality": {"falsification_points": 2}}, ()),
        ({"quality": {"falsification_points": None}}, {}, ()),
        ({"quality": {"control_rows": None}}, {}, ()),
        (
            {"quality": {"control_rows": 30}},
            {"quality": {"control_rows": None}},
            ("quality.control_rows is 30, required at least empty",),
        ),
        ({"quality": {"scored_rows": 200}}, {"quality": {"scored_rows": 100}}, ()),
        ({"quality": {"scored_rows": 200}}, {}, ("quality.scored_rows is 200, required at least empty",)),
        (
            {},
            {"quality": {"falsification_points": None}},
            ("quality.falsification_points is 3, required at least empty",),
        ),
        ({"attribution": {"tolerance": 0.5}}, {}, ("attribution.tolerance is 0.5, required at most 0.01",)),
        ({"attribution": {"fusion_coefficient": 0.9}}, {"attribution": {"fusion_coefficient": "auto"}}, ()),
        ({"attribution": {"fusion_coefficient": 0.9}}, {}, ("attribution.fusion_coefficient is 0.9, required 0.2",)),
        ({"quality": {"seed": 7}}, {}, ("quality.seed is 7, required 0",)),
        ({"attribution": {"device": "cpu", "shard_rows": 4}, "report": {"rows": 3}, "monitor": {"mix": 0.9}}, {}, ()),
        ({"alerts": {"level": "failing"}, "gate": {"min_rows": 3}, "governance": {"owner": "x"}}, {}, ()),
    ],
)
def test_settings_have_to_be_the_same_or_stricter(recorded, asked, said: tuple[str, ...]) -> None:
    assert tuple(more_lenient(config(**recorded), config(**asked))) == said


def test_every_setting_that_the_policy_knows_is_one():
    """A setting that was renamed would have to be equal from then on, and a stricter record would be refused."""
    known = policy._flat(PipelineConfig())
    assert policy._HIGHER | policy._LOWER | policy._FREE | policy._CHOSEN | {*policy._ADDING_FILES} <= known.keys()


def test_a_record_made_by_lenient_settings_is_inconclusive_and_says_by_which(record: GovernanceReport) -> None:
    lenient = record.model_copy(update={"config": config(drift={"word_shift": 5.0}, probe={"enabled": False})})
    result = judged(lenient, Circumstances(settings=PipelineConfig()))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "drift.word_shift is 5.0, required at most 0.3" in result.reasons[0]
    assert "--config FILE" in result.next_step
    assert judged(lenient).verdict is Verdict.PASS, "with gate.settings: any they are not compared"
    assert judged(record, Circumstances(settings=PipelineConfig())).verdict is Verdict.PASS


def test_the_suite_is_compared_by_its_content(record: GovernanceReport) -> None:
    assert judged(record, Circumstances(suite_digest=suite_digest("default"))).verdict is Verdict.PASS
    other = judged(record, Circumstances(suite_digest=suite_digest("strict")))
    assert other.verdict is Verdict.INCONCLUSIVE
    assert "judged by suite default" in other.reasons[0]
    assert judged(record, Circumstances(suite_digest="x"), suite="default").verdict is Verdict.PASS, "named in the policy"
    assert judged(record, suite=suite_digest("default")[:12]).verdict is Verdict.PASS
    assert judged(record, suite="strict").verdict is Verdict.INCONCLUSIVE
    unknown = record.model_copy(update={"quality": record.quality.model_copy(update={"suite_digest": None})})
    assert judged(unknown, Circumstances(suite_digest=suite_digest("default"))).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("asked", "verdict"),
    [
        ({"dataset": "review-validation"}, Verdict.PASS),
        ({"dataset": "d1" * 32}, Verdict.PASS),
        ({"dataset": "D1d1d1d1d1d1"}, Verdict.PASS),
        ({"dataset": "d1d1"}, Verdict.INCONCLUSIVE),
        ({"dataset": "another"}, Verdict.INCONCLUSIVE),
        ({"min_rows": 10}, Verdict.PASS),
        ({"min_rows": 10_000}, Verdict.INCONCLUSIVE),
    ],
)
def test_the_data_set_by_name_or_digest_and_its_rows(record: GovernanceReport, asked, verdict: Verdict) -> None:
    assert judged(record, **asked).verdict is verdict


@pytest.mark.parametrize(
    ("version", "asked", "verdict"),
    [
        ("1", {}, Verdict.PASS),  # it is the champion
        ("3", {}, Verdict.INCONCLUSIVE),
        ("3", {"reference": "any"}, Verdict.PASS),
        ("1", {"reference": "models:/review-sentiment/3"}, Verdict.INCONCLUSIVE),
    ],
)
def test_a_version_has_to_be_compared_with_what_is_champion_now(record, version: str, asked, verdict: Verdict) -> None:
    result = judged(record, champion(version), **asked)
    assert result.verdict is verdict
    if verdict is Verdict.INCONCLUSIVE:
        assert "compared with nothing, required: with" in result.reasons[0]


def test_the_comparison_is_with_the_version_named(tmp_path: Path) -> None:
    sample = sample_records.drifted(tmp_path, n=30).record
    reference = sample.drift.reference
    assert reference is not None
    passing = {
        "decision": sample.decision.model_copy(update={"verdict": Verdict.PASS}),
        "drift": sample.drift.model_copy(update={"verdict": CheckVerdict.PASS}),
    }
    record = sample.model_copy(update=passing)
    named = f"models:/{reference.name}/{reference.version}"
    assert judged(record, champion("77"), reference=named).verdict is Verdict.PASS
    assert judged(record, champion("77")).verdict is Verdict.INCONCLUSIVE
    skipped = record.model_copy(update={"drift": record.drift.model_copy(update={"verdict": CheckVerdict.NOT_APPLICABLE})})
    assert judged(skipped, reference=named).verdict is Verdict.INCONCLUSIVE, "named, and not compared"


def test_a_record_is_bound_to_the_registrys_entry(record: GovernanceReport) -> None:
    entry = record.model.registered
    assert entry is not None
    now = record.created_at
    unbound = record.model_copy(update={"model": record.model.model_copy(update={"registered": None})})
    result = judge(Evidence(record=unbound, run_id="r", registered=entry), GateConfig(), now=now)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "before schema version 3" in result.reasons[0]
    assert "explain it again" in result.next_step
    other = entry.model_copy(update={"created_ms": entry.created_ms + 1})
    assert judge(Evidence(record=record, run_id="r", registered=other), GateConfig(), now=now).verdict is Verdict.INCONCLUSIVE
    assert judge(Evidence(record=record), GateConfig(), now=now).verdict is Verdict.PASS, "a results folder has no entry"


def test_doubts_and_other_content_leave_no_pass(record: GovernanceReport) -> None:
    evidence = Evidence(record=record, run_id="r", registered=record.model.registered)
    for update in ({"doubts": ("run x is newer and was deleted",)}, {"given_up": "no memory"}):
        result = judge(evidence.model_copy(update=update), GateConfig(), now=record.created_at)
        assert result.verdict is Verdict.INCONCLUSIVE
    changed = Circumstances(other_content="not what was explained: weights")
    assert judged(record, changed).verdict is Verdict.INCONCLUSIVE
    assert judged(record, Circumstances(other_content="")).verdict is Verdict.PASS


@pytest.mark.parametrize("state", list(SealState))
def test_where_keys_are_trusted_only_theirs_pass_and_every_gate_says_who_signed(record, state: SealState, tmp_path) -> None:
    seal = Verification(state=state, record_sha256="ab" * 32, key_id="k1", signed_by="pipeline")
    evidence = Evidence(record=record, run_id="r", registered=record.model.registered)
    standing = Standing(seal=seal, sign_off=None)
    for trusted, asked in ((True, False), (False, True), (False, False)):
        result = judge(
            evidence,
            GateConfig(require_signature=asked),
            now=record.created_at,
            standing=standing,
            around=Circumstances(keys_are_trusted=trusted),
        )
        passes = state is SealState.SIGNED or not (trusted or asked)
        assert (result.verdict is Verdict.PASS) == passes
        assert result.signature.startswith("signed by pipeline (key k1)" if state is SealState.SIGNED else "NOT SIGNED")
        write_junit(result, tmp_path / "gate.xml")
        (prop,) = ET.parse(tmp_path / "gate.xml").getroot().findall("testsuite[1]//property[@name='calig.signature']")  # noqa: S314
        assert prop.get("value") == result.signature


@pytest.mark.parametrize("text", ["latest", "models:/a", "models:/a@champion", "3"])
def test_the_reference_of_a_policy_is_a_version(text: str) -> None:
    with pytest.raises(ValueError, match="reference"):
        GateConfig.model_validate({"reference": text})
