"""The GitHub action and the GitLab template: valid by their schemas, and their script, run as a CI system runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CI = Path(__file__).parents[2] / "deploy" / "ci"
#: Stands for the command, which has its own tests: notes how it was called, writes the summary, ends as told.
COMMAND = """\
#!/bin/bash
printf '<%s>' "$@" >> calls; echo >> calls
[ "$1" = explain ] && exit ${EXPLAINED:-0}
[ "$GATED" = 2 ] || echo '## the verdict' > calig-gate/gate.md
exit $GATED
"""


@pytest.mark.parametrize(
    ("schema", "file", "transform"), [("github-actions", "action.yml", []), ("gitlab-ci", "gitlab.yml", ["gitlab-ci"])]
)
def test_the_file_fits_the_published_schema(schema: str, file: str, transform: list[str]) -> None:
    options = [part for name in transform for part in ("--data-transform", name)]
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *options, CI / file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def gate(folder: Path, **variables: str) -> tuple[int, list[str]]:
    """The script's exit code, and the calls of the command."""
    command = folder / "bin" / "calig"
    command.parent.mkdir()
    command.write_text(COMMAND)
    command.chmod(0o755)
    github = {"GITHUB_OUTPUT": str(folder / "output"), "GITHUB_STEP_SUMMARY": str(folder / "summary")}
    path = {"PATH": f"{command.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", CI / "gate.sh"], cwd=folder, env={**path, **github, **variables}, check=False)
    calls = folder / "calls"
    return done.returncode, calls.read_text().splitlines() if calls.exists() else []


@pytest.mark.parametrize(("code", "verdict"), [(0, "pass"), (1, "fail"), (3, "inconclusive")])
def test_the_verdict_is_the_jobs(tmp_path: Path, code: int, verdict: str) -> None:
    done, calls = gate(tmp_path, MODEL="models:/a b/1", GATED=str(code))
    assert (done, len(calls)) == (code, 1)
    assert calls[0].startswith("<gate><models:/a b/1><--junit><calig-gate/gate.xml>")
    assert "<--promote>" not in calls[0]
    assert (tmp_path / "output").read_text() == f"verdict={verdict}\n"
    assert (tmp_path / "summary").read_text() == "## the verdict\n"


def test_what_cannot_be_judged_has_no_verdict(tmp_path: Path) -> None:
    assert gate(tmp_path, MODEL="models:/a/1", GATED="2")[0] == 2
    assert (tmp_path / "output").read_text() == "verdict=\n"
    assert "could not judge (exit code 2)" in (tmp_path / "summary").read_text()


def test_options_are_handed_on_as_they_are(tmp_path: Path) -> None:
    options = {"CONFIG": "a; b.yaml", "TRUSTED_KEYS": "$(c).yaml", "PROMOTE": "true", "DATASET": "rows 1.jsonl"}
    _, calls = gate(tmp_path, MODEL="models:/a/1", GATED="0", **options)
    assert calls[0] == "<explain><models:/a/1><--dataset><rows 1.jsonl><--config><a; b.yaml>"
    assert calls[1].endswith("<--config><a; b.yaml><--trusted-keys><$(c).yaml><--promote>")


@pytest.mark.parametrize(("explained", "asked"), [("1", 2), ("3", 2), ("4", 1)])
def test_an_explanation_that_did_not_end_is_no_older_verdict(tmp_path: Path, explained: str, asked: int) -> None:
    done, calls = gate(tmp_path, MODEL="models:/a/1", GATED="0", DATASET="rows.jsonl", EXPLAINED=explained)
    assert len(calls) == asked
    assert done == (0 if asked == 2 else 4)


def test_inputs_never_become_a_part_of_a_script() -> None:
    steps = yaml.safe_load((CI / "action.yml").read_text(encoding="utf-8"))["runs"]["steps"]
    assert not any("${{" in step.get("run", "") for step in steps)
    given = {name for step in steps for name in step.get("env", {})} - {"WHAT", "MLFLOW_TRACKING_URI"}
    used = set(re.findall(r"\$\{?([A-Z_]+)", (CI / "gate.sh").read_text(encoding="utf-8")))
    assert given == used - {"GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"}
