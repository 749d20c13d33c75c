"""The check for GPUs on a machine without one: it passes nothing, and each of its parts runs on the CPU."""

import json
from contextlib import nullcontext

import pytest
import torch

from tests.gpu import check as checking
from tests.gpu import parts

HOLDS, FAILS = {"passed": True, "figure": 1.0}, {"passed": False}


def breaks(_):
    raise RuntimeError("no kernel image")


def test_without_a_gpu_nothing_is_passed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OUT", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert checking.main() == 2
    assert "no CUDA device: nothing was checked" in capsys.readouterr().err
    report = json.loads((tmp_path / checking.FILE_NAME).read_text())
    assert (report["verdict"], report["parts"], set(report["unchecked"])) == ("inconclusive", {}, set(parts.PARTS))


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [([HOLDS, HOLDS], "pass"), ([HOLDS, FAILS], "fail"), ([breaks, HOLDS], "fail"), ([], "inconclusive")],
)
def test_the_verdict_follows_from_the_parts(outcomes, verdict, tmp_path):
    given = {str(i): found if callable(found) else lambda _, f=found: dict(f) for i, found in enumerate(outcomes)}
    report = checking.check("cpu", given, tmp_path / "new" / "check.json")
    assert report["verdict"] == verdict
    assert set(report["parts"]) == set(given)
    assert not outcomes or json.loads((tmp_path / "new" / "check.json").read_text())["verdict"] == verdict


def test_a_part_that_breaks_says_how_and_does_not_stop_the_others(tmp_path):
    report = checking.check("cpu", {"first": breaks, "second": lambda _: dict(HOLDS)}, tmp_path / "check.json")
    assert "no kernel image" in report["parts"]["first"]["error"]
    assert report["parts"]["second"]["passed"]


def test_what_time_was_too_short_for_is_no_pass(tmp_path):
    now = iter([0.0, 0.0, 0.0, 301.0, 301.0])
    report = checking.check(
        "cpu", {"first": lambda _: dict(HOLDS), "second": breaks}, tmp_path / "c.json", clock=lambda: next(now)
    )
    assert (report["verdict"], report["unchecked"]) == ("inconclusive", {"second": "no time was left"})


def test_parity_of_a_device_with_itself():
    found = parts.parity("cpu", ["tiny"])
    assert found["passed"]
    assert found["differences"]["tiny"]["float32"] == 0.0
    assert 0.0 < found["differences"]["tiny"]["reduced"] <= 0.02


def test_parity_fails_on_tf32_and_on_other_values(monkeypatch):
    monkeypatch.setattr(parts, "_differences", lambda *_: {"float32": 0.002, "reduced": 0.001})
    assert not parts.parity("cpu", ["tiny"])["passed"]
    monkeypatch.setattr(parts, "_differences", lambda *_: {"float32": 0.0, "reduced": 0.0})
    assert parts.parity("cpu", ["tiny"])["passed"]
    monkeypatch.setattr(parts, "_tf32_is_on", lambda: True)
    assert not parts.parity("cpu", ["tiny"])["passed"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "passed", "skipped"), [("pass", True, 0), ("assert False", False, 0), ("pytest.skip('none')", False, 1)]
)
def test_a_marked_test_that_is_skipped_is_no_pass(body, passed, skipped, tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = cuda: needs a GPU\n")
    (tmp_path / "test_it.py").write_text(
        f"import pytest\n\n@pytest.mark.cuda\ndef test_marked():\n    {body}\n\ndef test_other():\n    assert False\n"
    )
    found = parts.marked_tests("cpu", [tmp_path])
    assert (found["passed"], len(found["skipped"]), found["n_passed"]) == (passed, skipped, int(passed))


@pytest.mark.slow
def test_no_marked_test_at_all_is_no_pass(tmp_path):
    assert not parts.marked_tests("cpu", [tmp_path])["passed"]


def test_all_marked_tests_are_where_the_check_looks():
    mark = "@pytest.mark." + "cuda"
    files = [path for path in parts.TESTS.rglob("test_*.py") if f"\n{mark}" in path.read_text(encoding="utf-8")]
    assert len(files) == 2
    assert all(any(folder in path.parents for folder in parts.MARKED) for path in files)


def test_halved_batches_keep_the_values(monkeypatch):
    found = parts.out_of_memory("cpu", "tiny")
    assert found["passed"]
    assert found["refusals"] > 0
    monkeypatch.setattr(parts, "scarce", lambda _: nullcontext(lambda: 0))
    assert not parts.out_of_memory("cpu", "tiny")["passed"]  # memory that never ran out shows nothing


def test_the_share_of_the_peak_and_synchronisations_are_figures():
    shares = parts.throughput("cpu", "tiny", n_rows=2)["share_of_peak"]
    assert all(0.0 < share < 1.0 for share in shares.values())
    assert parts.synchronisations("cpu", "tiny")["per_row"] is None


@pytest.mark.slow
def test_onnx_runtime_equals_itself():
    found = parts.onnx_runtime("cpu", "tiny")
    assert found["passed"]
    assert (found["providers"], found["difference"]) == (["CPUExecutionProvider"], 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "n_rows"), [("tiny", 8), ("minilm-shape-comments", 6)])
def test_memory_is_expected_as_it_is_measured(model, n_rows):
    found = parts.memory("cpu", model, n_rows)
    assert found["passed"], found


@pytest.mark.slow
def test_the_engine_is_sound():
    found = parts.engine("cpu", ["tiny"])
    assert found["passed"]
    assert found["cases"][0]["ratio_vs_captum_50"] > 0
