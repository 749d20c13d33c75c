"""Promotion of @champion: forward, and only over the version that was compared with."""

from __future__ import annotations

from typing import Any

import pytest

from components import registry
from components.common.errors import InputError
from components.registry.versions.lookup import registered_as
from schemas.base import CheckVerdict, Verdict
from schemas.governance import GovernanceReport
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
