"""Batches of rows of equal length, smaller ones after out-of-memory, and results in one transfer."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

T = TypeVar("T")
R = TypeVar("R")


#: Tokens per forward pass. CPUs: what stays in the caches; GPUs: what keeps all units busy. Halved when memory runs out.
_SUITABLE = {"cpu": 1024, "cuda": 16384}


def suitable_batch_tokens(device: torch.device) -> int:
    """Tokens per forward pass that suit the device."""
    return _SUITABLE.get(device.type, _SUITABLE["cpu"])


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive parts of at most `size` items."""
    return (items[i : i + size] for i in range(0, len(items), size))


def equal_lengths(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices grouped by length, the longest first (so that memory runs out early or not at all), within `batch_tokens`."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    for length, group in groupby(order, key=lambda i: lengths[i]):
        yield from (list(part) for part in chunks(list(group), max(1, batch_tokens // length)))


def halving_on_out_of_memory(function: Callable[[Sequence[T]], R], items: Sequence[T], size: int) -> list[R]:
    """Apply `function` to parts of `items`; when memory runs out, halve the parts and go on where it stopped."""
    results: list[R] = []
    position = 0
    while position < len(items):
        part = items[position : position + size]
        try:
            results.append(function(part))
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _out_of_memory(error) or len(part) == 1:
                raise
            size = max(1, len(part) // 2)
        else:
            position += len(part)
    return results


def fetched(*tensors: Tensor) -> list[NDArray[np.float64]]:
    """The tensors as float64 arrays, in one transfer: on GPUs each transfer waits for all that was asked for before it."""
    together = torch.cat([tensor.detach().double().flatten() for tensor in tensors]).cpu()
    ends = np.cumsum([tensor.numel() for tensor in tensors])
    return [part.reshape(tensor.shape) for part, tensor in zip(np.split(together.numpy(), ends[:-1]), tensors, strict=True)]


def return_memory() -> None:
    """Give freed memory back to the system, where the C library has a way to: tensors of ever new sizes would fragment it."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
