"""Fast products: the same numbers as PyTorch's own, only inside the context, and gradients that a frozen weight allows."""

import pytest
import torch
from torch.nn.functional import linear
from torch.overrides import _get_current_function_mode

from calig import explain, products
from calig.products import Products
from tests.calig.conftest import TEXTS

#: A product of 48 terms in float32 is right to a few units in the last place of its largest term.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return torch.randn(2, 7, 48), torch.randn(64, 48), torch.randn(64)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("rows", [1, 7, 32, 33])
def test_values_and_gradients_equal_pytorchs_own(layer, rows, with_bias):
    _, weight, bias = layer
    bias = bias if with_bias else None
    x = torch.randn(2, rows, 48, requires_grad=True)
    with Products()():
        fast = linear(x, weight, bias)
        (gradient,) = torch.autograd.grad(fast.square().sum(), x)
    own = linear(x, weight, bias)
    torch.testing.assert_close(fast, own, **CLOSE)
    torch.testing.assert_close(gradient, torch.autograd.grad(own.square().sum(), x)[0], rtol=1e-4, atol=1e-3)


def test_reduced_products_round_their_operands_only(layer):
    x, weight, bias = layer
    with Products()(reduced=True):
        reduced = linear(x, weight, bias)
    assert reduced.dtype == torch.float32
    assert not torch.equal(reduced, linear(x, weight, bias))
    torch.testing.assert_close(reduced, linear(x, weight, bias), rtol=0.02, atol=0.2)


def test_without_instructions_for_bfloat16_the_numbers_are_those_of_pytorchs_bfloat16(layer, monkeypatch):
    """Sums of 48 terms are added in another order: a last bit of bfloat16, 2⁻⁸ of the value, may round the other way."""
    x, weight, bias = layer
    x.requires_grad_()
    monkeypatch.setattr(products, "CPU_MULTIPLIES_BFLOAT16", False)
    with Products()(reduced=True):
        rounded = linear(x, weight, bias)
        (gradient,) = torch.autograd.grad(rounded.square().sum(), x)
    torch.testing.assert_close(rounded, linear(x.bfloat16(), weight.bfloat16()).float() + bias, rtol=2**-7, atol=2**-7)
    expected = linear((2 * rounded).bfloat16(), weight.t().bfloat16()).float()
    torch.testing.assert_close(gradient, expected, rtol=2**-7, atol=2**-4)


@pytest.mark.parametrize("kind", ["float64", "trainable"])
def test_everything_else_is_left_to_pytorch(layer, kind):
    x, weight, bias = layer
    if kind == "float64":
        x, weight, bias = x.double(), weight.double(), bias.double()
    else:
        weight.requires_grad_()
    expected = linear(x, weight, bias)
    with Products()(reduced=True):
        got = linear(x, weight, bias)
    assert torch.equal(got, expected)
    assert (got.grad_fn is not None) == (kind == "trainable")


@pytest.mark.parametrize(
    ("device_type", "reduced", "intercepted"), [("cpu", False, True), ("cuda", False, False), ("cuda", True, True)]
)
def test_on_gpus_only_reduced_products_are_intercepted(device_type, reduced, intercepted):
    outside = _get_current_function_mode()
    with Products(device_type)(reduced=reduced):
        assert (_get_current_function_mode() is not outside) == intercepted
    assert _get_current_function_mode() is outside


def test_rows_that_reduced_products_cannot_resolve_are_computed_in_full(bert):
    model, tokenizer = bert
    try:
        model.float()
        full = explain(model, tokenizer, TEXTS, tolerance=1e-3)
        reduced = explain(model, tokenizer, TEXTS, tolerance=1e-3, reduced=True)
    finally:
        model.double()
    for a, b in zip(full, reduced, strict=True):
        assert b.converged
        assert abs(a.values - b.values).sum() <= 0.02 * abs(a.values).sum()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("reduced", [False, True])
def test_a_gpu_gives_the_cpus_values(bert, reduced):
    model, tokenizer = bert
    expected = explain(model, tokenizer, TEXTS, tolerance=1e-4)
    try:
        results = explain(model.float().cuda(), tokenizer, TEXTS, tolerance=1e-4, reduced=reduced)
    finally:
        model.cpu().double()
    for a, b in zip(expected, results, strict=True):
        assert abs(a.values - b.values).sum() <= 0.01 * abs(a.values).sum()
