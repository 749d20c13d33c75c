"""The record's form: older versions are migrated, newer ones refused, the JSON Schema is current, one canonical form."""

from __future__ import annotations

import hashlib
import json
from html import escape
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from components.common.errors import InputError
from components.records import read_record
from schemas.base import Interval
from schemas.governance import GovernanceReport
from schemas.published import NewerSchemaError, from_1_to_2, migrated, record_schema
from tests.helpers import sample_records

VERSION_1 = Path(__file__).parent / "records" / "version-1.json"


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> GovernanceReport:
    return sample_records.drifted(tmp_path_factory.mktemp("record"), n=30).record


def test_a_record_of_version_1_is_read_and_says_what_it_did_not_record() -> None:
    before = json.loads(VERSION_1.read_bytes())
    after = read_record(VERSION_1.read_bytes(), VERSION_1)
    assert after.schema_version == "3"
    assert after.model.registered is None
    assert after.quality.suite_digest is None
    assert "not recorded" in after.data.sampling
    assert after.results.unconverged is None
    assert (after.evidence, after.crosswalk, after.decision.signing_key) == ((), (), None)
    assert after.method.seed == before["config"]["quality"]["seed"]
    assert after.decision.fired == "a part failed"
    assert after.fingerprint == before["fingerprint"]
    kept = json.loads(after.model_dump_json())
    for part in ("quality", "drift", "probe", "model", "limits", "stage_seconds", "created_at"):
        assert _kept(before[part], kept[part]), part
    assert after.config.probe.transformations == (), "rows were not transformed then"
    assert after.config.probe.across_versions == "none", "every version had the same level then"
    assert after.chosen_by == {}, "who chose what was not recorded"
    assert (after.model.files_digest, after.drift.reference.record_sha256, after.drift.noise.versions) == (None, None, ())


def _kept(before: Any, after: Any) -> bool:
    """Whether all that was said is still said; fields that came later say that they were not recorded."""
    if isinstance(before, dict):
        return all(name in after and _kept(value, after[name]) for name, value in before.items())
    if isinstance(before, list):
        return len(before) == len(after) and all(map(_kept, before, after))
    return bool(before == after)


def test_a_step_changes_nothing_in_place() -> None:
    before = json.loads(VERSION_1.read_bytes())
    untouched = json.dumps(before)
    assert from_1_to_2(before)["schema_version"] == "2"
    assert json.dumps(before) == untouched


def test_a_newer_record_says_to_update(record: GovernanceReport) -> None:
    newer = json.dumps(json.loads(record.canonical()) | {"schema_version": "4"}).encode()
    with pytest.raises(InputError, match=r"(?s)newer schema.*version 4.*up to 3.*update calig"):
        read_record(newer, "record.json")
    with pytest.raises(NewerSchemaError):
        migrated({"schema_version": "10"})


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"schema_version": 2}', b'{"schema_version": "0"}', b"\xff", b"[" * 9999]
)
def test_what_is_no_record_is_bad_input(content: bytes) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_record(content, "record.json")


def test_a_field_that_does_not_fit_is_named(record: GovernanceReport) -> None:
    changed = json.loads(record.canonical())
    changed["data"]["n_explained"] = "many"
    with pytest.raises(InputError, match=r"(?s)1 fields do not fit.*data\.n_explained"):
        read_record(json.dumps(changed).encode(), "record.json")


def test_the_published_schema_is_the_present_one_and_records_hold_it(record: GovernanceReport, tmp_path: Path) -> None:
    committed = (Path(__file__).parents[2] / "schemas" / "record.schema.json").read_text(encoding="utf-8")
    assert committed == record_schema(), "run: calig record schema > schemas/record.schema.json"
    validator = jsonschema.Draft202012Validator(json.loads(committed))
    for sample in (record, sample_records.first_release(tmp_path, n=20).record):
        validator.validate(json.loads(sample.canonical()))
    broken = json.loads(record.canonical())
    del broken["evidence"]
    assert not validator.is_valid(broken)


def test_the_canonical_form_is_one_line_that_reads_back_and_its_digest_is_the_files(record: GovernanceReport) -> None:
    content = record.canonical()
    assert b"\n" not in content
    assert read_record(content, "record.json") == record
    assert record.content_digest() == hashlib.sha256(content).hexdigest()
    keys = list(json.loads(content))
    assert keys == sorted(keys)


def test_the_canonical_form_is_that_of_rfc_8785() -> None:
    """The RFC's own example of numbers and keys (section 3.2.3), through a record's way of writing."""
    import rfc8785

    value = {"numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001], "\u20ac": "Euro", "\r": "CR"}
    expected = '{"\\r":"CR","numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"\u20ac":"Euro"}'
    assert rfc8785.dumps(value).decode() == expected


def test_a_record_read_back_says_verdict_reasons_and_next_step(tmp_path: Path):
    record = read_record(sample_records.drifted(tmp_path).record.canonical(), "here")
    html = record._repr_html_()
    assert html is not None
    assert "✗ fail" in html
    assert all(escape(reason) in html for reason in record.decision.reasons)
    assert escape(record.decision.next_step) in html
    assert record.drift.reference is not None
    assert f"</bdi> {record.drift.reference.version}" in html


def test_what_others_wrote_is_escaped(tmp_path: Path):
    record = sample_records.drifted(tmp_path).record
    decision = record.decision.model_copy(update={"reasons": ("<img src=x onerror=alert(1)>",)})
    model = record.model.model_copy(update={"name": "<b>"})
    html = record.model_copy(update={"decision": decision, "model": model})._repr_html_()
    assert html is not None
    assert "<img" not in html
    assert "<bdi>&lt;b&gt;</bdi>" in html


def test_other_records_are_shown_as_text():
    assert Interval(low=0.0, high=1.0)._repr_html_() is None
