"""The probe's level by earlier versions: which of them count, in what order, and what is in force when that is in doubt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components import registry
from components.common.errors import CaligError, CouldNotRunError, InputError
from components.probe import lord_level
from flows.pipeline import probe as probe_flow
from flows.pipeline.probe import level_of, with_probe_level
from schemas.base import CheckVerdict
from schemas.config import PipelineConfig, ProbeConfig
from schemas.evidence import Evidence, PastProbe
from schemas.planned_release import Release
from schemas.probe import ProbeReport
from schemas.reference import ReferenceIdentity, ReferenceProfile
from schemas.release import ModelRef, ModelSource
from tests.helpers import sample_records

PASS, FAIL, UNJUDGED = CheckVerdict.PASS, CheckVerdict.FAIL, CheckVerdict.INCONCLUSIVE
START = datetime(2026, 11, 2, tzinfo=UTC)
LORD = {"across_versions": "lord", "level_floor": 1e-6}

#: Version → hour and outcome of each of its explanations, or why its evidence is of no use.
History = Mapping[int, list[tuple[float, CheckVerdict]] | CaligError]


@pytest.fixture
def leveled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Release]:
    """The release of version 5 after a history that is not read from a registry."""
    record = sample_records.first_release(tmp_path, n=30).record
    snapshot = record.model.model_copy(update={"name": "m", "version": "5", "uri": "models:/m/5"})
    identity = ReferenceIdentity(name="m", version="1", method_fingerprint="f", weights_digest="w")
    tables = {"dataset_digest": "d", "labels": snapshot.labels, "fusion": record.config.attribution.fusion, "tables": ()}
    profile = ReferenceProfile(identity=identity, **tables)

    def run(history: History, *, reference: ReferenceProfile | None = profile, **probe: Any) -> Release:
        def evidence(ref: ModelRef, _: object) -> Evidence:
            found = history.get(int(str(ref.version)), registry.NeverExplainedError("never"))
            if isinstance(found, CaligError):
                raise found
            return Evidence(record=record, probes=tuple(past(hour, verdict) for hour, verdict in found))

        others = [version_of(number) for number in sorted(history, reverse=True) if number != 5]
        monkeypatch.setattr(probe_flow.standing, "verified_evidence", evidence)
        monkeypatch.setattr(probe_flow.registry, "other_versions", lambda _: others)
        release = Release(
            snapshot=snapshot,
            dataset=record.data.dataset,
            config=PipelineConfig.model_validate({"probe": LORD | probe}),
            fusion_choice=None,
            suite_digest=None,
            method_fingerprint="f",
            reference=reference,
            without_reference=None,
            output=tmp_path,
        )
        return with_probe_level(release)

    return run


def past(hour: float, verdict: CheckVerdict) -> PastProbe:
    return PastProbe(created_at=START + timedelta(hours=hour), verdict=verdict)


def version_of(number: int) -> ModelRef:
    return registry.parse_model_ref(f"models:/m/{number}")


def test_earlier_versions_count_in_the_order_of_their_first_explanation(leveled) -> None:
    level = level_of(leveled({1: [(3, PASS)], 2: [(1, FAIL)], 3: [(2, PASS)], 7: [(4, FAIL)]}))
    assert (level.earlier, level.failed) == (("2", "3", "1", "7"), ("2", "7")), "a higher number may be explained earlier"
    assert level.rule == "LORD++"
    assert level.level == lord_level([True, False, False, True], 0.05, 1e-6)
    assert (level.configured, level.floor) == (0.05, 1e-6)


def test_a_version_counts_once_by_its_first_judged_probe(leveled) -> None:
    level = level_of(leveled({1: [(1, UNJUDGED), (2, FAIL), (3, PASS), (9, PASS)], 2: [(4, PASS)]}))
    assert (level.earlier, level.failed) == (("1", "2"), ("1",)), "who explains it until it passes does not undo the failure"


def test_the_version_itself_does_not_count_nor_what_came_after_it(leveled) -> None:
    before = leveled({1: [(1, PASS)], 2: [(2, FAIL)]})
    again = leveled({1: [(1, PASS)], 2: [(2, FAIL)], 5: [(3, FAIL), (8, PASS)], 6: [(5, FAIL)]})
    assert again.probe_level == before.probe_level
    assert again.fingerprint == before.fingerprint, "explained again, it is the same explanation"


def test_versions_that_were_never_judged_are_no_tests(leveled) -> None:
    history = {1: registry.NeverExplainedError("never"), 2: registry.GivenUpError("given up"), 3: [(1, UNJUDGED)], 4: []}
    level = level_of(leveled(history))
    assert level.earlier == ()
    assert level.level == lord_level([], 0.05, 1e-6)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (
            InputError("The evidence of models:/m/2 cannot be built on.", got="no trusted key signed it"),
            "no trusted key signed it",
        ),
        (CouldNotRunError("The tracking server does not answer."), "does not answer"),
    ],
)
@pytest.mark.parametrize("version", [2, 5])
def test_in_doubt_the_configured_level_is_in_force_and_it_is_said(leveled, trouble: CaligError, said: str, version: int) -> None:
    level = level_of(leveled({1: [(1, PASS)], version: trouble}))
    assert (level.rule, level.level, level.earlier) == ("none", 0.05, ())
    assert f"version {version} left evidence that cannot be used" in level.doubt
    assert said in level.doubt
    assert level.doubt in level.source


def test_versions_that_cannot_be_listed_are_a_doubt(leveled, monkeypatch: pytest.MonkeyPatch) -> None:
    release = leveled({1: [(1, PASS)]})

    def unavailable(_: object) -> list[ModelRef]:
        raise CouldNotRunError("The registry does not answer.")

    monkeypatch.setattr(probe_flow.registry, "other_versions", unavailable)
    again = with_probe_level(release)
    assert level_of(again).level == 0.05
    assert "cannot be listed" in level_of(again).doubt
    assert again.fingerprint != release.fingerprint, "another level is another explanation"


def test_a_folder_has_no_earlier_versions(leveled) -> None:
    release = leveled({})
    folder = release.snapshot.model_copy(update={"source": ModelSource.FOLDER})
    level = level_of(with_probe_level(release.model_copy(update={"snapshot": folder})))
    assert (level.level, level.rule) == (0.05, "none")
    assert "no version of a registered model" in level.doubt


def test_without_the_rule_nothing_is_read_and_the_configured_level_is_in_force(leveled) -> None:
    broken = {1: CouldNotRunError("not asked")}
    for settings in ({"across_versions": "none"}, {"enabled": False}, {"reference": None}):
        release = leveled(broken, **settings)
        assert release.probe_level is None
        assert (level_of(release).level, level_of(release).doubt) == (0.05, "")


def test_two_hundred_harmless_versions_registered_first_hide_nothing_below_the_floor(leveled) -> None:
    """The attack that the floor is for; nor do they make every later explanation read all of them."""
    harmless = {number: [(number / 100, PASS)] for number in range(6, 206)}
    level = level_of(leveled(harmless, level_floor=0.01))
    assert (level.level, level.floor) == (0.01, 0.01)
    assert len(level.earlier) == probe_flow.MOST_VERSIONS
    assert level.failed == ()


def test_the_probe_is_judged_by_the_level_in_force_and_its_report_names_it(leveled, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ProbeConfig] = []

    def probed(_: object, __: object, ___: object, settings: ProbeConfig) -> ProbeReport:
        asked.append(settings)
        return ProbeReport(verdict=PASS, reason="")

    monkeypatch.setattr(probe_flow, "probed_models", lambda *_: [])
    monkeypatch.setattr(probe_flow, "_probed_texts", probed)
    release = leveled({1: [(1, PASS)], 2: [(2, FAIL)]}, level_floor=0.01)
    report = probe_flow.probe_vocabulary.fn(release, None)
    assert report.level == release.probe_level
    assert [settings.level for settings in asked] == [0.01]
    assert asked[0].warning_level == release.config.probe.warning_level
    assert release.config.probe.level == 0.05, "the record's settings stay those that were configured"


def test_settings_cannot_put_the_floor_above_the_level(leveled) -> None:
    level = level_of(leveled({1: [(1, FAIL)]}, level=0.002, level_floor=0.01))
    assert (level.level, level.floor, level.configured) == (0.002, 0.002, 0.002)
