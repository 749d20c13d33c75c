"""The command line: quick help, exit codes, and errors that say what to do, without tracebacks."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from components.common.errors import CouldNotRunError
from flows import explain_release as flow
from flows.cli.app import app
from flows.pipeline.results import Outcome
from schemas.base import Verdict
from schemas.config import PipelineConfig
from tests.helpers import sample_records


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Call the command in this process, leaving its environment alone."""
    monkeypatch.setattr("flows.common.process.prepare", lambda **_: None)
    monkeypatch.setattr("flows.common.prefect_server._given_by_process", lambda: True)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def outcome(tmp_path, monkeypatch):
    """Make the flow return a sample record with the verdict asked for."""

    def returns(verdict: Verdict) -> None:
        (tmp_path / "sample").mkdir()
        record = sample_records.drifted(tmp_path / "sample", n=12).record
        decision = record.decision.model_copy(update={"verdict": verdict})
        record = record.model_copy(update={"decision": decision})
        found = Outcome(record=record, folder=tmp_path / "runs", published=None, reused=False)
        monkeypatch.setattr(flow, "explain_release", lambda *_, **__: found)

    return returns


#: Prints, at the end of `calig --help`, which of the libraries were loaded that take seconds to load.
HELP = """
import atexit, sys

HEAVY = "fastapi great_expectations matplotlib mlflow numpy onnxruntime pandas prefect pyarrow scipy torch transformers"
atexit.register(lambda: print(sorted({name.partition(".")[0] for name in sys.modules} & set(HEAVY.split())), file=sys.stderr))
sys.argv = ["calig", "--help"]
from flows.cli.entry import main
sys.exit(main())
"""


def test_help_answers_at_once_for_it_loads_nothing_that_takes_seconds():
    result = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert "explain" in result.stdout
    assert "Exit codes" in result.stdout
    assert result.stderr.strip() == "[]"


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.PASS, 0), (Verdict.FAIL, 1), (Verdict.INCONCLUSIVE, 3)])
def test_the_exit_code_is_the_verdict(run, outcome, verdict, code):
    outcome(verdict)
    result = run("explain", "models:/m/1", "--dataset", "d.jsonl")
    assert result.exit_code == code, result.output
    assert str(verdict) in result.output
    assert "report.html" in result.output


def test_json_is_the_record_and_nothing_else(run, outcome):
    outcome(Verdict.FAIL)
    result = run("explain", "models:/m/1", "--dataset", "d.jsonl", "--json")
    assert json.loads(result.stdout)["decision"]["verdict"] == "fail"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "models:/m/latest", "--dataset", "d.jsonl"], "latest"),
        (["explain", "no-such-folder/x", "--dataset", "d.jsonl"], "error:"),
        (["explain", "models:/m/1", "--dataset", "d.jsonl", "--config", "none.yaml"], "configuration file cannot be read"),
        (["publish", "empty"], "no finished explanation"),
    ],
)
@pytest.mark.usefixtures("_prefect")
def test_bad_input_is_exit_code_two_without_a_traceback(run, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_unknown_options_are_bad_usage(run):
    assert run("explain", "m", "--datset", "d").exit_code == 2


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [(CouldNotRunError("no disk", next_step="make room"), 4, "next: make room"), (RuntimeError("surprise"), 4, "--debug")],
)
def test_what_could_not_run_is_exit_code_four(run, monkeypatch, error, code, message):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(flow, "explain_release", fails)
    result = run("explain", "models:/m/1", "--dataset", "d.jsonl")
    assert result.exit_code == code
    assert message in result.output
    assert "Traceback" not in result.output
    assert "Traceback" in run("explain", "models:/m/1", "--dataset", "d.jsonl", "--debug").output


def test_an_address_is_no_name_of_a_variable(run, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("alerts: {webhook_url_env: 'https://hooks.example/x'}\n", encoding="utf-8")
    result = run("config", "show", "--config", path)
    assert result.exit_code == 2
    assert "alerts.webhook_url_env" in result.output


def test_config_show_is_a_configuration_file(run, tmp_path):
    shown = run("config", "show").stdout
    assert PipelineConfig.model_validate(yaml.safe_load(shown)) == PipelineConfig()
    for section in PipelineConfig.model_fields.values():
        assert section.description in shown
    mine = tmp_path / "mine.yaml"
    mine.write_text("drift: {min_rows: 7}\n", encoding="utf-8")
    assert "min_rows: 7" in run("config", "show", "--config", mine).stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drift: {min_row: 7}", "'drift.min_row': there is no such setting"),
        ("attribution: {fusion_coefficient: 2}", "less than or equal to 1"),
        ("attribution: {fusion_coefficient: best}", "'attribution.fusion_coefficient': Input should be a valid number"),
        ("attribution: {fusion_coefficient: best}", "or: Input should be 'auto'"),
        ("attribution: [", "not valid YAML"),
        ("attribution: {context_rule: negative}", "'positive', 'absolute', 'attention', 'mixed' or 'signed'"),
    ],
)
def test_bad_settings_name_the_setting_and_what_is_allowed(run, tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    result = run("config", "show", "--config", path)
    assert result.exit_code == 2
    assert message in result.output
    if "min_row:" in text:
        assert "allowed: min_rows" in result.output
