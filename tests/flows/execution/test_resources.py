"""`calig estimate`: time and memory from a few rows, and what to ask a work pool for."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from flows.execution.resources import job_variables
from schemas.config import ExecutionConfig
from tests.helpers.tiny_models import save_tiny_bert

GIB = 2**30


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setattr("flows.common.process.prepare", lambda **_: None)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["estimate", *(str(a) for a in arguments)])


def test_the_estimate_is_for_people_and_for_scripts(run, dataset, tmp_path):
    folder = save_tiny_bert(tmp_path / "bert")
    shown = run(folder, "--dataset", dataset, "--json")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert (found["rows"], found["shards"], found["device"]) == (40, 1, "cpu")
    assert found["seconds"] > 0
    assert found["resident_bytes"] >= found["peak_bytes"] > 50e6
    assert list(found["job_variables"]) == ["memory"]
    said = run(folder, "--dataset", dataset, "--limit", 10).stdout
    assert "10 rows in 1 shards on cpu" in said
    assert "job variables: memory=" in said


def test_bad_input_is_told_as_in_explain(run, dataset, tmp_path):
    result = run(tmp_path / "nothing", "--dataset", dataset)
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("execution", "on_gpu", "asked"),
    [
        ({}, False, {"memory": "1280Mi"}),  # 1 GiB and a quarter is five steps
        ({}, True, {"memory": "1280Mi", "gpus": "1"}),
        ({"engine": "processes", "workers": 2}, False, {"memory": "3840Mi"}),  # the parent and two workers
        ({"engine": "dask", "address": "tcp://a:1", "workers": 9}, False, {"memory": "1280Mi"}),  # workers are elsewhere
    ],
)
def test_memory_is_a_quarter_above_the_peak_for_every_process(execution, on_gpu, asked):
    assert job_variables(GIB, ExecutionConfig(**execution), on_gpu=on_gpu) == asked


def test_memory_is_rounded_up_to_whole_steps():
    assert job_variables(GIB + 1, ExecutionConfig(), on_gpu=False) == {"memory": "1536Mi"}
