"""Shrinking caches by age and size, never results, waiting alerts, or what a running explanation uses."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.common import caches
from components.common.errors import CouldNotRunError
from flows.cli.app import app

DAY_S = 86_400


def put(path: Path, n_bytes: int, days_old: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * n_bytes)
    used = time.time() - days_old * DAY_S
    os.utime(path, (used, used))
    for folder in path.parents[:4]:
        if ".cache" in folder.parts:
            os.utime(folder, (used, used))
    return path


@pytest.fixture
def output(tmp_path: Path) -> Path:
    cache = tmp_path / ".cache"
    put(cache / "models" / "reviews" / "1" / "model" / "model.safetensors", 1000, 90)
    put(cache / "models" / "reviews" / "2" / "model" / "model.safetensors", 2000, 10)
    put(cache / "models" / "reviews" / ".3-broken" / "fresh" / "x", 50, 40)
    put(cache / "attributions" / "key" / "shard-00000.parquet", 400, 20)
    put(cache / "prefect" / "result", 10, 50)
    put(cache / "outbox" / "message.json", 5, 300)
    put(tmp_path / "reviews" / "1" / "abc" / "record.json", 700, 300)
    return tmp_path


def names(entries: tuple[caches.Entry, ...]) -> set[str]:
    return {entry.path.name for entry in entries}


def test_what_was_not_used_for_long_goes(output: Path) -> None:
    cleaned = caches.clean(output, older_than_days=30, larger_than_bytes=None, dry_run=False)
    assert names(cleaned.removed) == {"1", ".3-broken", "result"}
    assert names(cleaned.kept) == {"2", "key"}
    assert not (output / ".cache" / "models" / "reviews" / "1").exists()
    assert (output / ".cache" / "outbox" / "message.json").exists()
    assert (output / "reviews" / "1" / "abc" / "record.json").exists()


def test_then_the_least_recently_used_until_the_rest_fits(output: Path) -> None:
    cleaned = caches.clean(output, older_than_days=60, larger_than_bytes=2100, dry_run=False)
    assert names(cleaned.removed) == {"1", "result", ".3-broken", "key"}
    assert sum(entry.n_bytes for entry in cleaned.kept) == 2000


def test_a_dry_run_removes_nothing(output: Path) -> None:
    before = sorted(output.rglob("*"))
    assert caches.clean(output, older_than_days=0, larger_than_bytes=None, dry_run=True).removed
    assert sorted(path for path in output.rglob("*") if path.name != "in-use.lock") == before


def test_a_file_that_is_read_counts_as_used(output: Path) -> None:
    path = output / ".cache" / "models" / "reviews" / "1" / "model" / "model.safetensors"
    os.utime(path, (time.time(), path.stat().st_mtime))
    assert "1" in names(caches.clean(output, older_than_days=30, larger_than_bytes=None, dry_run=True).kept)


def test_links_are_removed_and_never_followed(output: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = put(tmp_path_factory.mktemp("outside") / "precious", 10, 1)
    (output / ".cache" / "models" / "reviews" / "9").symlink_to(outside.parent)
    (output / ".cache" / "attributions" / "key" / "link").symlink_to(outside)
    caches.clean(output, older_than_days=0, larger_than_bytes=0, dry_run=False)
    assert outside.exists()
    assert not (output / ".cache" / "models").exists()


def test_nothing_is_removed_while_an_explanation_runs(output: Path) -> None:
    with caches.in_use(output), caches.in_use(output), pytest.raises(CouldNotRunError, match="explanation is running"):
        caches.clean(output, older_than_days=0, larger_than_bytes=None, dry_run=False)
    assert caches.clean(output, older_than_days=0, larger_than_bytes=None, dry_run=False).removed


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--dry-run"], 0, "would free 0.0 MB in 3 entries"),
        (["--older-than", "2w"], 0, "in 4 entries"),
        (["--larger-than", "2KB"], 0, "in 4 entries"),
        (["--larger-than", "1TB"], 0, "in 0 entries"),
        (["--older-than", "soon"], 2, "allowed: 12h, 30d, 8w"),
        (["--larger-than", "-1GB"], 2, "allowed: 500MB, 20GB"),
    ],
)
def test_the_command(output: Path, arguments: list[str], code: int, said: str) -> None:
    result = CliRunner().invoke(app, ["clean", "--output", str(output), *arguments])
    assert (result.exit_code, said in result.output) == (code, True), result.output
