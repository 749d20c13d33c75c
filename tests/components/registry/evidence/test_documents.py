"""Tables of a published explanation, downloaded and checked against the record that names them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components import registry
from components.common.errors import CouldNotRunError, InputError
from tests.components.registry.publishing import Results, artifact_folder


def test_a_published_profile_comes_back(results: Results, tmp_path: Path) -> None:
    results.publish()
    profile = registry.fetch_profile(results.evidence(), tmp_path)
    assert sorted(path.name for path in profile.iterdir() if not path.name.startswith(".")) == ["attributions", "record.json"]
    assert (profile / "record.json").read_text() == (results.folder / "record.json").read_text()
    assert pq.read_table(profile / "attributions").equals(pq.read_table(results.folder / "attributions"))


def test_a_profile_whose_tables_are_not_the_records_is_refused_and_one_that_changed_on_disk_is_fetched_again(
    results: Results, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results.publish()
    evidence = results.evidence()
    profile = registry.fetch_profile(evidence, tmp_path)
    table = next((profile / "attributions").glob("*.parquet"))
    before = table.read_bytes()
    table.write_bytes(before[:-9] + bytes([before[-9] ^ 1]) + before[-8:])
    assert registry.fetch_profile(evidence, tmp_path) == profile
    assert table.read_bytes() == before
    assert "changed since it was downloaded" in caplog.text
    stored = artifact_folder(results.client, str(evidence.run_id)) / "attributions" / table.name
    stored.write_bytes(stored.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"(?s)not those that their record was made from.*shard-000"):
        registry.fetch_profile(evidence, tmp_path / "elsewhere")


def test_lost_tables_are_an_error_not_a_missing_profile(results: Results, tmp_path: Path) -> None:
    results.publish()
    evidence = results.evidence()
    shutil.rmtree(artifact_folder(results.client, str(evidence.run_id)) / "attributions")
    with pytest.raises(CouldNotRunError, match=r"evidence of run|no attribution tables"):
        registry.fetch_profile(evidence, tmp_path)
