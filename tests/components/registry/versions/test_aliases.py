"""Aliases and references: promotion only forward, and versions to compare with by alias, name, twins and acceptance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pytest

from components import registry
from components.common.errors import InputError
from components.registry.versions.lookup import registered_as
from schemas.base import CheckVerdict, Verdict
from schemas.governance import GovernanceReport
from schemas.release import ModelSource
from tests.components.registry.publishing import Results
from tests.conftest import TinyRegistry


def _passing(client: Any, record: GovernanceReport, version: str, reference: str | None) -> GovernanceReport:
    against, uri = None, f"models:/{record.model.name}/{version}"
    registered = registered_as(client.get_model_version(record.model.name, version))
    if reference is not None:
        against = record.drift.reference.model_copy(update={"name": record.model.name, "version": reference})
    verdict = CheckVerdict.NOT_APPLICABLE if reference is None else CheckVerdict.PASS
    return record.model_copy(
        update={
            "model": record.model.model_copy(update={"version": version, "uri": uri, "registered": registered}),
            "drift": record.drift.model_copy(update={"reference": against, "verdict": verdict}),
            "decision": record.decision.model_copy(update={"verdict": Verdict.PASS}),
        }
    )


def test_promotion_goes_forward_and_only_over_the_version_compared_with(
    tiny_registry: TinyRegistry, published: Results, name: str
) -> None:
    record = published.record
    for _ in range(3):
        tiny_registry.register(tiny_registry.bert, name)

    def passing(version: str, reference: str | None) -> GovernanceReport:
        return _passing(published.client, record, version, reference)

    def champion() -> str:
        return str(published.client.get_registered_model(name).aliases["champion"])

    assert registry.promote(passing("2", None)) == "@champion moved to version 2; there was none"
    assert registry.promote(passing("2", None)) == "@champion is version 2 already"
    with pytest.raises(InputError, match=r"(?s)not against the @champion.*compared with nothing.*version 2"):
        registry.promote(passing("3", None))
    with pytest.raises(InputError, match="compared with version 1"):
        registry.promote(passing("3", "1"))
    assert champion() == "2"
    assert registry.promote(passing("3", "2")) == "@champion moved to version 3 from version 2"
    with pytest.raises(InputError, match=r"(?s)only moves forward.*--rollback"):
        registry.promote(passing("2", "1"))
    assert champion() == "3"
    assert registry.promote(passing("2", "1"), rollback=True) == "@champion moved to version 2 from version 3"
    assert champion() == "2"
    another = passing("3", "2")
    foreign = another.model.registered.model_copy(update={"created_ms": 1})
    with pytest.raises(InputError, match="another version under this name and number"):
        registry.promote(another.model_copy(update={"model": another.model.model_copy(update={"registered": foreign})}))
    assert champion() == "2"


def test_the_reference_is_the_aliased_version_unless_it_is_this_one(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    def snapshot(version: str) -> Any:
        return registry.fetch(registry.parse_model_ref(f"models:/{tiny_registry.text}/{version}"), workspace=tmp_path)

    reference = registry.reference_for(snapshot("2"), "champion")
    assert reference is not None
    assert (reference.uri, reference.version, reference.alias) == (f"models:/{tiny_registry.text}/1", "1", "champion")
    own = registry.reference_for(snapshot("1"), "champion")
    assert own is not None
    assert own.version == "1"
    assert registry.reference_for(snapshot("1"), "unknown") is None
    folder = snapshot("2").model_copy(update={"source": ModelSource.FOLDER})
    assert registry.reference_for(folder, "champion") is None


def test_a_reference_named_by_its_user_is_pinned(tiny_registry: TinyRegistry) -> None:
    pinned = registry.resolve_reference(registry.parse_model_ref(f"models:/{tiny_registry.text}@candidate"))
    assert (pinned.uri, pinned.version, pinned.alias) == (f"models:/{tiny_registry.text}/2", "2", "candidate")
    with pytest.raises(InputError, match="no version 9"):
        registry.resolve_reference(registry.parse_model_ref(f"models:/{tiny_registry.text}/9"))
    with pytest.raises(InputError, match="registered version"):
        registry.resolve_reference(registry.parse_model_ref(str(tiny_registry.bert)))


def test_tagged_twins_are_found_newest_first(tiny_registry: TinyRegistry) -> None:
    name, client = "family", mlflow.MlflowClient()
    client.create_registered_model(name)
    for twin_of in ("", "1", "3", "1"):
        client.create_model_version(name, source="file:///nowhere", tags={"calig.twin_of": twin_of} if twin_of else {})
    assert [ref.uri for ref in registry.tagged_twins(name, "1")] == ["models:/family/4", "models:/family/2"]


def test_accepted_versions_are_those_that_runs_say_passed_whatever_tags_say(results: Results, tmp_path: Path) -> None:
    name = results.record.model.name
    assert registry.accepted_versions("nobody") == []
    results.publish()
    results.client.set_model_version_tag(name, "1", "calig.verdict", "pass")
    assert registry.accepted_versions(name) == [], "it failed"
    results.again(tmp_path / "again", verdict=Verdict.PASS).publish(force=True)
    results.client.set_model_version_tag(name, "1", "calig.verdict", "fail")
    assert [ref.uri for ref in registry.accepted_versions(name)] == [f"models:/{name}/1"]
