"""Matrix products with frozen weights, by the fastest kernel there is; limited to a context, no module is changed.

On CPUs PyTorch's own float32 product may use half of the machine's vector width (MKL on AMD processors). oneDNN, which comes
with PyTorch, uses all of it and rounds no worse. Its product is called here through the operator that torch.compile uses, also
where MKL is faster (vectors of 256 bits): MKL's last bits depend on how many rows a matrix has, so that a row's values would
depend on its company, and no replay would be exact.

`reduced` products take bfloat16 operands inside an otherwise float32 pass: sums, norms, softmax and the residual stream keep
their precision. A CPU that cannot multiply bfloat16 multiplies the rounded operands in float32: PyTorch's own product of
bfloat16 would be 18 times slower there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode


class Products:
    """The products of one model, with what is prepared of its weights once: twice the weights' memory on CPUs."""

    def __init__(self, device_type: str = "cpu") -> None:
        self._device_type = device_type
        self._prepared: dict[tuple[int, bool], _Weight] = {}

    @contextmanager
    def __call__(self, *, reduced: bool = False) -> Iterator[None]:
        """Inside, linear layers with frozen float32 weights run on the fast kernel; `reduced`: on bfloat16 operands.

        On GPUs PyTorch's own float32 product is the fast one: nothing is intercepted, which would cost time at every layer.
        """
        if not reduced and self._device_type != "cpu":
            yield
            return
        with _Interception(lambda weight: self._weight(weight, reduced)):
            yield

    def _weight(self, weight: Tensor, reduced: bool) -> _Weight:
        key = (id(weight), reduced)
        if key not in self._prepared:
            self._prepared[key] = _Weight.of(weight, reduced)
        return self._prepared[key]


class _Weight(NamedTuple):
    """A weight in the memory layout that is fastest for x Wᵀ, and in the one that is fastest for the gradient, g W.

    multiply: how; `original` is kept so that its identity stays taken.
    """

    original: Tensor
    forward: Tensor
    backward: Tensor
    multiply: Callable[[Tensor, Tensor, Tensor | None], Tensor]

    @classmethod
    def of(cls, weight: Tensor, reduced: bool) -> _Weight:
        on_cpu = weight.device.type == "cpu"
        if not reduced:
            operand, multiply = weight, _product
        elif on_cpu and not CPU_MULTIPLIES_BFLOAT16:
            operand, multiply = _rounded(weight), _product_of_rounded
        else:
            operand, multiply = weight.bfloat16(), _product_of_bfloat16
        transposed = operand.t().contiguous().t() if on_cpu else operand
        return cls(weight, transposed, operand.t(), multiply)


class _Interception(TorchFunctionMode):
    def __init__(self, prepare: Callable[[Tensor], _Weight]) -> None:
        super().__init__()
        self._prepare = prepare

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is linear and not kwargs and _applicable(*args[:2]):
            bias = args[2] if len(args) > 2 else None
            return _Product.apply(args[0], self._prepare(args[1]), bias)  # type: ignore[no-untyped-call]
        return function(*args, **(kwargs or {}))


class _Product(torch.autograd.Function):
    """x Wᵀ + b for a W that needs no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: _Weight, bias: Tensor | None) -> Tensor:
        ctx.weight = weight
        return weight.multiply(x, weight.forward, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.weight.multiply(gradient, ctx.weight.backward, None), None, None


def _product_of_bfloat16(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product = linear(x.bfloat16(), weight).float()
    return product if bias is None else product.add_(bias)


def _product_of_rounded(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same sums: a product of two bfloat16 numbers is exact in float32. Its result is rounded as there."""
    product = _rounded(_product(_rounded(x), weight, None))
    return product if bias is None else product.add_(bias)


def _rounded(x: Tensor) -> Tensor:
    return x.bfloat16().float()


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return _by_onednn(x, weight, bias) if x.device.type == "cpu" and _HAS_ONEDNN else linear(x, weight, bias)


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x Wᵀ + b. oneDNN compiles a kernel for every new number of rows; a few more rows keep those numbers few."""
    rows = x.reshape(-1, x.shape[-1])
    n = len(rows)
    if n % _ROWS:
        rows = rows.new_zeros(n + -n % _ROWS, rows.shape[1])
        rows[:n] = x.reshape(n, -1)
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return product[:n].view(*x.shape[:-1], -1)


#: Numbers of rows are rounded up to a multiple of this. On 24 rows of SST-2, time 4.8 → 4.1 s and memory 850 → 480 MB.
_ROWS = 32

_HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(  # type: ignore[no-untyped-call]
    torch.ops.mkldnn, "_linear_pointwise"
)

#: Whether the CPU has instructions for products of bfloat16; elsewhere they are put together from others.
CPU_MULTIPLIES_BFLOAT16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _applicable(x: Tensor, weight: Tensor) -> bool:
    return x.dtype == weight.dtype == torch.float32 and not weight.requires_grad
