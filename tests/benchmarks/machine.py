"""Time, memory and floating-point operations of a piece of work, and what this machine could do at most."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, TypeVar

import torch
from torch.nn.functional import linear
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

from calig.products import CPU_MULTIPLIES_BFLOAT16, Products
from components.common.memory import own_resident_bytes, peak_resident_bytes

T = TypeVar("T")

#: Operations of each matrix product by its operands; PyTorch itself knows the attention kernels of GPUs, not the one of CPUs.
_OPERATIONS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    torch.ops.mkldnn._linear_pointwise: lambda x, weight, *_, **__: 2 * x.numel() * weight.shape[0],
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda *given, **_: sdpa_flop_count(*_shapes(given[:3])),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda *given, **_: sdpa_backward_flop_count(
        *_shapes(given[:4])
    ),
}


def timed(work: Callable[[], T], device: str) -> tuple[float, T]:
    """Wall-clock seconds and the result."""
    start = perf_counter()
    result = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return perf_counter() - start, result


def worked(work: Callable[[], T], device: str) -> tuple[float, T]:
    """Seconds of this process's processors, which others' load does not lengthen, and the result; on a GPU wall-clock seconds.

    With one thread these are the wall-clock seconds of an idle machine.
    """
    if device != "cpu":
        return timed(work, device)
    start = process_time()
    result = work()
    return process_time() - start, result


def matmul_operations(work: Callable[[], T]) -> tuple[float, T]:
    """Floating-point operations of all matrix products carried out by `work`, attention and backward passes included."""
    with _Counting() as counting:
        result = work()
    return float(counting.total), result


def matmul_peak(dtype: torch.dtype, device: str, size: int = 2048, repetitions: int = 8) -> float:
    """Operations per second, as `worked` counts them, of a large square matrix product: the best of several, by the best kernel
    that either side uses. A CPU without instructions for bfloat16 multiplies in float32, as the engine does there."""
    if dtype == torch.bfloat16 and device == "cpu" and not CPU_MULTIPLIES_BFLOAT16:
        dtype = torch.float32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    products = Products()

    def by_the_engine() -> torch.Tensor:
        with products():
            return linear(a, b)

    seconds = min(worked(work, device)[0] for _ in range(repetitions) for work in (lambda: a @ b, by_the_engine))
    return 2.0 * size**3 / seconds


def in_child(function: Callable[..., T], *arguments: Any) -> T:
    """Call `function` in a fresh process, whose memory holds nothing else."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def peak_memory_increase(work: Callable[[], object], device: str) -> float:
    """Most bytes held at any time of `work`, beyond those held before it. CPU: resident memory of this process (Linux only)."""
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return float(torch.cuda.max_memory_allocated() - before)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading the model
    before = own_resident_bytes()
    work()
    return float(peak_resident_bytes() - before)


def describe() -> dict[str, Any]:
    """What numbers depend on: processor, threads, library version."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    described = {"cpu": names[0] if names else platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    return described | ({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {})


class _Counting(TorchDispatchMode):
    """Adds up operations; PyTorch's own FlopCounterMode does not work with `torch.autograd.grad`."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if function.overloadpacket in _OPERATIONS:
            self.total += _OPERATIONS[function.overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result


def _shapes(tensors: Iterable[torch.Tensor]) -> list[torch.Size]:
    return [tensor.shape for tensor in tensors]
