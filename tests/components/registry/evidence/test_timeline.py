"""Reading evidence back: the record as it was published, why there is none, and the history of all versions."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from components import registry
from components.common.errors import CouldNotRunError, InputError
from components.signing import inspect_record
from schemas.signature import TrustList
from tests.components.registry.publishing import Results, new_version, newest
from tests.conftest import TinyRegistry
from tests.helpers.tracking import connected


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
