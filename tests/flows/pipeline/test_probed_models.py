"""Which models the probe measures noise on: named ones, twins, earlier versions; never the same weights twice."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from components.common.errors import CouldNotRunError, InputError
from flows.evidence.standing import NotHonestError
from flows.pipeline import tasks
from flows.pipeline.probed_models import probed_models
from schemas.base import digest_of
from schemas.config import PipelineConfig, ProbeConfig
from schemas.reference import ReferenceIdentity
from schemas.release import ModelSnapshot

LABELS = ("NEG", "POS")


def snapshot(version: str, labels: tuple[str, ...] = LABELS, weights: str = "") -> ModelSnapshot:
    folder = Path("unused")
    return ModelSnapshot(
        name="m",
        version=version,
        source="registry",
        uri=f"models:/m/{version}",
        model_path=folder,
        processor_path=folder,
        weights_digest=weights or digest_of(version),
        processor_digest="p",
        model_type="bert",
        modality="text",
        labels=labels,
    )


def identity(version: str) -> ReferenceIdentity:
    return ReferenceIdentity(name="m", version=version, method_fingerprint="f", weights_digest=digest_of(version))


def null(kind: str, *versions: str) -> SimpleNamespace:
    return SimpleNamespace(kind=kind, profiles=[SimpleNamespace(identity=identity(version)) for version in versions])


def release(*nulls: SimpleNamespace, **settings) -> SimpleNamespace:
    config = PipelineConfig(probe=ProbeConfig(**settings))
    return SimpleNamespace(snapshot=snapshot("9"), config=config, nulls=nulls, workspace=Path("unused"))


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Versions that can be fetched, by number."""
    versions = {version: snapshot(version) for version in "123456789"}

    def fetch(ref, workspace):
        if str(ref.version) not in versions:
            raise InputError(f"version {ref.version} is gone", got=ref.version, allowed="a version that is there")
        return versions[str(ref.version)]

    def honest(ref, _trusted):
        return SimpleNamespace(record=SimpleNamespace(model=snapshot(str(ref.version))))

    monkeypatch.setattr(tasks, "fetch_model", fetch)
    monkeypatch.setattr("flows.pipeline.probed_models.honest_evidence", honest)
    return versions


def versions_of(*nulls: SimpleNamespace, **settings) -> list[str]:
    return [found.version for found in probed_models(release(*nulls, **settings), identity("1"))]


def test_without_further_versions_there_are_two_sides():
    assert versions_of() == ["1", "9"]


def test_twins_come_before_earlier_versions():
    assert versions_of(null("twins", "2", "3"), null("history", "4", "5")) == ["1", "9", "3", "2"]


def test_too_few_twins_give_way_to_earlier_versions_the_latest_first():
    assert versions_of(null("twins", "2"), null("history", "1", "3", "4", "5")) == ["1", "9", "5", "4"]


def test_one_twin_is_better_than_nothing():
    assert versions_of(null("twins", "2"), null("history", "1")) == ["1", "9", "2"]


def test_named_models_come_first_and_only():
    assert versions_of(null("twins", "2", "3"), twins=("models:/m/6",)) == ["1", "9", "6"]


@pytest.mark.parametrize("kind", ["twins", "history"])
def test_the_same_weights_show_no_noise(registry, kind):
    registry["2"] = snapshot("2", weights=digest_of("1"))
    registry["4"] = snapshot("4", weights=registry["3"].weights_digest)
    found = null(kind, "2", "3", "4")
    for profile, of in zip(found.profiles, "133", strict=True):
        profile.identity = profile.identity.model_copy(update={"weights_digest": digest_of(of)})
    assert versions_of(found)[2:] in (["4"], ["3"])


@pytest.mark.parametrize("kind", ["twins", "history"])
def test_other_weights_in_the_place_of_an_explained_version_are_left_out(registry, kind):
    registry["3"] = snapshot("3", weights="other")
    assert versions_of(null(kind, "2", "3", "4")) == ["1", "9", "4", "2"]


def test_the_settings_limit_their_number():
    assert versions_of(null("twins", "2", "3", "4"), null_versions=3) == ["1", "9", "4", "3", "2"]
    assert versions_of(null("twins", "2", "3", "4"), null_versions=0) == ["1", "9"]


def test_a_registered_version_that_is_gone_or_has_other_classes_is_left_out(registry):
    del registry["3"]
    registry["4"] = snapshot("4", ("NEG", "NEUTRAL", "POS"))
    assert versions_of(null("twins", "2", "3", "4", "5")) == ["1", "9", "5", "2"]


def test_a_named_version_that_did_not_pass_itself_is_refused(monkeypatch):
    def refused(ref, _trusted):
        raise NotHonestError("did not pass itself")

    monkeypatch.setattr("flows.pipeline.probed_models.honest_evidence", refused)
    with pytest.raises(CouldNotRunError, match="no noise can be measured on models:/m/6: it did not pass itself"):
        versions_of(twins=("models:/m/6",))


def test_a_named_version_of_other_weights_is_refused(registry):
    registry["6"] = snapshot("6", weights="other")
    with pytest.raises(CouldNotRunError, match="its weights differ"):
        versions_of(twins=("models:/m/6",))


def test_a_named_model_that_is_gone_is_told(registry):
    del registry["6"]
    with pytest.raises(CouldNotRunError, match="models:/m/6 cannot be fetched"):
        versions_of(twins=("models:/m/6",))


def test_another_model_in_the_place_of_the_reference_is_refused(registry):
    registry["1"] = snapshot("1", weights="other")
    with pytest.raises(CouldNotRunError, match="not the one that was explained"):
        versions_of()
