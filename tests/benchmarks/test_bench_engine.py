"""The benchmark runs from end to end on the tiny case, and its measures are right where the answer is known."""

import json
from mmap import mmap

import numpy as np
import pytest
import torch
from torch.nn.functional import linear, scaled_dot_product_attention

from tests.benchmarks.bench_engine import bench
from tests.benchmarks.machine import matmul_operations, peak_memory_increase
from tests.benchmarks.peer import p95, residuals

POSITIVE = {
    "ratio_vs_captum_50",
    "ratio_at_equal_residual",
    "ratio_at_equal_error",
    "captum_points_at_equal_error",
    "captum_points_at_equal_residual",
    "mean_points",
    "matmul_share",
    "peak_memory_ratio",
}
FORM = {"model", "device", "dtype", "rows", "residual_p95", "captum_residual_p95"} | POSITIVE


@pytest.mark.slow
def test_the_tiny_case_from_end_to_end(tmp_path, capsys):
    bench(model=["tiny"], threads=1, repeats=1, output=tmp_path / "engine.json")
    text = (tmp_path / "engine.json").read_text()
    report = json.loads(text)
    assert {"command", "date", "machine", "cases"} == set(report)
    (case,) = report["cases"]
    assert set(case) >= FORM
    assert all(case[figure] > 0 for figure in POSITIVE)
    assert case["matmul_share"] < 1
    assert case["residual_p95"] <= 0.01
    assert case["captum_residual_p95"] < case["captum_residual_p95_at_equal_residual"] <= 0.01
    assert str(tmp_path.parent) not in text
    assert "tiny" in capsys.readouterr().out


def test_operations_equal_a_count_by_hand():
    rows, width, out, heads, length = 5, 6, 7, 2, 3
    x, weight = torch.randn(rows, width, requires_grad=True), torch.randn(out, width)
    query = torch.randn(1, heads, length, width, requires_grad=True)

    def work():
        torch.autograd.grad(linear(x, weight).sum(), x)
        torch.autograd.grad(scaled_dot_product_attention(query, query, query).sum(), query)

    forward_and_backward, products_of_attention = 2, 2 + 5  # the kernel's backward pass works the scores out again
    expected = forward_and_backward * 2 * rows * width * out + products_of_attention * 2 * heads * length**2 * width
    assert matmul_operations(work)[0] == expected


def test_memory_counts_what_was_held_for_a_moment():
    def hold() -> None:
        with mmap(-1, 2**26) as pages:  # from the system: the heap could serve it from memory that this process holds already
            for _ in range(2**10):
                pages.write(bytes(2**16))

    assert peak_memory_increase(hold, "cpu") == pytest.approx(2**26, rel=0.1)


def test_residuals_by_hand():
    sums = np.array([[2.02, 2.0], [0.06, 0.05]])
    np.testing.assert_allclose(residuals(sums, np.array([2.0, 0.05])), [[0.01, 0.0], [0.1, 0.0]], atol=1e-12)
    assert p95(np.array([[0.0, 1.0], [0.0, 1.0]])) == 1.0
