"""Reading evidence back from a real MLflow: only a version's own counts; promotion goes forward; a history skips nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from components import registry
from components.errors import CouldNotRunError, InputError
from schemas.base import CheckVerdict, Verdict
from schemas.governance import GovernanceReport
from schemas.release import ModelRef, ModelSource
from tests.components.publishing import Results, new_version, results_for
from tests.conftest import TinyRegistry


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"tried-evidence-{tmp_path.name}"


@pytest.fixture
def published(tiny_registry: TinyRegistry, tmp_path: Path, name: str) -> Results:
    results = results_for(tiny_registry.tracking_uri, new_version(tiny_registry, name, tmp_path), tmp_path / "results")
    results.publish()
    return results


def ref(name: str, version: str = "1") -> ModelRef:
    return registry.parse_model_ref(f"models:/{name}/{version}")


def test_the_record_comes_back_as_it_was_published(published: Results, name: str) -> None:
    evidence = registry.fetch_evidence(ref(name), published.tracking_uri)
    assert evidence.record == published.record
    assert evidence.run_id == published.version().tags["calig.run_id"]
    registry.set_alias(name, "champion", "1", published.tracking_uri)
    by_alias = registry.fetch_evidence(registry.parse_model_ref(f"models:/{name}@champion"), published.tracking_uri)
    assert by_alias == evidence


def test_a_version_that_was_never_explained_is_bad_input_with_the_command(
    tiny_registry: TinyRegistry, name: str, tmp_path: Path
) -> None:
    new_version(tiny_registry, name, tmp_path)
    with pytest.raises(InputError, match=rf"(?s)never explained.*calig explain models:/{name}/1 --dataset"):
        registry.fetch_evidence(ref(name), tiny_registry.tracking_uri)
    folder = ModelRef(uri=str(tmp_path), source=ModelSource.FOLDER, name="x")
    with pytest.raises(InputError, match="Only versions of registered models"):
        registry.fetch_evidence(folder, tiny_registry.tracking_uri)


def test_a_server_that_does_not_answer_is_not_the_versions_fault(name: str) -> None:
    with pytest.raises(CouldNotRunError, match="cannot be reached"):
        registry.fetch_evidence(ref(name), "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("tag", "value"), [("calig.verdict", "pass"), ("calig.fingerprint", "00" * 32), ("calig.run_id", "no-such-run")]
)
def test_edited_tags_are_no_evidence(published: Results, name: str, tag: str, value: str) -> None:
    published.client.set_model_version_tag(name, "1", tag, value)
    with pytest.raises(InputError, match=r"(?s)not its own.*--force"):
        registry.fetch_evidence(ref(name), published.tracking_uri)


def test_tags_copied_from_another_version_are_no_evidence(published: Results, name: str) -> None:
    copied = published.client.copy_model_version(f"models:/{name}/1", f"{name}-copy")
    for key, value in published.version().tags.items():
        published.client.set_model_version_tag(copied.name, copied.version, key, value)
    with pytest.raises(InputError, match=r"(?s)not its own.*calig.model is"):
        registry.fetch_evidence(ref(copied.name), published.tracking_uri)


def test_a_deleted_run_is_no_evidence(published: Results, name: str) -> None:
    published.client.delete_run(published.version().tags["calig.run_id"])
    with pytest.raises(InputError, match="was deleted"):
        registry.fetch_evidence(ref(name), published.tracking_uri)


def _passing(record: GovernanceReport, version: str, reference: str | None) -> GovernanceReport:
    against = None
    if reference is not None:
        against = record.drift.reference.model_copy(update={"name": record.model.name, "version": reference})
    verdict = CheckVerdict.NOT_APPLICABLE if reference is None else CheckVerdict.PASS
    return record.model_copy(
        update={
            "model": record.model.model_copy(update={"version": version}),
            "drift": record.drift.model_copy(update={"reference": against, "verdict": verdict}),
            "decision": record.decision.model_copy(update={"verdict": Verdict.PASS}),
        }
    )


def test_promotion_goes_forward_and_only_over_the_version_compared_with(
    tiny_registry: TinyRegistry, published: Results, name: str
) -> None:
    uri, record = tiny_registry.tracking_uri, published.record
    for _ in range(3):
        tiny_registry.register(tiny_registry.bert, name)

    def champion() -> str:
        return str(published.client.get_registered_model(name).aliases["champion"])

    assert registry.promote(_passing(record, "2", None), uri) == "@champion moved to version 2; there was none"
    assert registry.promote(_passing(record, "2", None), uri) == "@champion is version 2 already"
    with pytest.raises(InputError, match=r"(?s)not against the @champion.*compared with nothing.*version 2"):
        registry.promote(_passing(record, "3", None), uri)
    with pytest.raises(InputError, match="compared with version 1"):
        registry.promote(_passing(record, "3", "1"), uri)
    assert champion() == "2"
    assert registry.promote(_passing(record, "3", "2"), uri) == "@champion moved to version 3 from version 2"
    with pytest.raises(InputError, match=r"(?s)only moves forward.*--rollback"):
        registry.promote(_passing(record, "2", "1"), uri)
    assert champion() == "3"
    assert registry.promote(_passing(record, "2", "1"), uri, rollback=True) == "@champion moved to version 2 from version 3"
    assert champion() == "2"


def test_the_timeline_has_every_version_and_says_why_one_has_no_evidence(
    tiny_registry: TinyRegistry, published: Results, name: str
) -> None:
    for _ in range(10):
        tiny_registry.register(tiny_registry.bert, name)
    published.client.set_model_version_tag(name, "3", "calig.run_id", "no-such-run")
    registry.set_alias(name, "champion", "1", published.tracking_uri)
    entries = registry.timeline(name, published.tracking_uri)
    assert [entry.version for entry in entries] == [str(n) for n in range(1, 12)], "by number, not by letters"
    assert entries[0].evidence is not None
    assert entries[0].aliases == ("champion",)
    assert entries[1].problem == "never explained"
    assert "does not exist" in (entries[2].problem or "")
    with pytest.raises(InputError, match="no registered model"):
        registry.timeline("nothing-here", published.tracking_uri)
