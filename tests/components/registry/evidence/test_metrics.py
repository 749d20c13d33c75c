"""Reading evidence back from a real MLflow: only a version's own counts; promotion goes forward; a history skips nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components import registry
from components.common.errors import CouldNotRunError, InputError
from components.registry.versions.lookup import registered_as
from components.signing import inspect_record
from schemas.base import CheckVerdict, Verdict
from schemas.governance import GovernanceReport
from schemas.signature import TrustList
from tests.components.registry.publishing import Results, new_version, newest, results_for
from tests.conftest import TinyRegistry
from tests.helpers.tracking import connected


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"tried-evidence-{tmp_path.name}"


@pytest.fixture
def published(tiny_registry: TinyRegistry, tmp_path: Path, name: str) -> Results:
    results = results_for(new_version(tiny_registry, name, tmp_path), tmp_path / "results")
    results.publish()
    return results


def test_the_record_comes_back_as_it_was_published(published: Results, name: str) -> None:
    evidence = published.evidence()
    assert evidence.record == published.record
    assert evidence.run_id == published.version().tags["calig.run_id"]
    assert evidence.doubts == ()
    assert evidence.registered == published.record.model.registered
    registry.set_alias(name, "champion", "1")
    assert newest(f"models:/{name}@champion") == evidence


def test_a_version_that_was_never_explained_is_bad_input_with_the_command(
    tiny_registry: TinyRegistry, name: str, tmp_path: Path
) -> None:
    new_version(tiny_registry, name, tmp_path)
    with pytest.raises(registry.NeverExplainedError, match=rf"(?s)never explained.*calig explain models:/{name}/1 --dataset"):
        newest(f"models:/{name}/1")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="Only versions of registered models"):
        newest(str(tmp_path))


def test_a_server_that_does_not_answer_is_not_the_versions_fault(name: str) -> None:
    with connected("http://127.0.0.1:1"), pytest.raises(CouldNotRunError, match="cannot be reached"):
        newest(f"models:/{name}/1")


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


def test_the_timeline_has_every_version_and_says_why_one_has_no_evidence(
    tiny_registry: TinyRegistry, published: Results, name: str
) -> None:
    for _ in range(10):
        tiny_registry.register(tiny_registry.bert, name)
    published.client.set_model_version_tag(name, "3", "calig.run_id", "no-such-run")
    registry.set_alias(name, "champion", "1")
    entries = registry.timeline(name, partial(inspect_record, trusted=TrustList()))
    assert [entry.version for entry in entries] == [str(n) for n in range(1, 12)], "by number, not by letters"
    assert entries[0].evidence is not None
    assert entries[0].aliases == ("champion",)
    assert entries[1].problem == "never explained"
    assert "which is not among the explanations" in (entries[2].problem or "")
    with pytest.raises(InputError, match="no registered model"):
        registry.timeline("nothing-here", partial(inspect_record, trusted=TrustList()))
