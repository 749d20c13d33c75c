"""The images' entry point: secrets from files into the environment, and the command in its place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.helpers.deploy_files import DEPLOY

ODD_VALUE = "pa$$ 'word\" \\ with `everything`"


def started(environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", DEPLOY / "entrypoint.sh", *command], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(ODD_VALUE + "\n", encoding="utf-8")
    return file


def test_a_file_becomes_the_variable_as_it_is(secret: Path) -> None:
    done = started(
        {"PGPASSWORD_FILE": str(secret)}, "/bin/sh", "-c", 'printf %s "$PGPASSWORD"; printf "|%s" "$@"', "-", "a b", ""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{ODD_VALUE}|a b|", "")


def test_the_exit_code_is_the_commands(secret: Path) -> None:
    assert started({}, "/bin/sh", "-c", "exit 7").returncode == 7


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_missing_or_empty_file_stops_the_start(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "none"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    done = started({"PREFECT_API_AUTH_STRING_FILE": str(file)}, "/bin/echo", "started")
    assert (done.returncode, done.stdout) == (2, "")
    assert "PREFECT_API_AUTH_STRING_FILE" in done.stderr
