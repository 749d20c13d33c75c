"""SHA-256 of files, against the published one of a known text (FIPS 180-2, appendix B.1)."""

from pathlib import Path

import pytest

from components.common.file_digests import file_digest, note_digest, unchanged

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_digest_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert file_digest(tmp_path / "abc") == ABC


def test_a_kept_file_counts_only_while_it_is_what_was_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "kept"
    assert not unchanged(path)
    path.write_bytes(b"abc")
    assert not unchanged(path), "nothing says what it was"
    note_digest(path)
    assert unchanged(path)
    path.write_bytes(b"abd")
    assert not unchanged(path)
    assert len(caplog.records) == 2, "one line for each file that was there and could not be used"
