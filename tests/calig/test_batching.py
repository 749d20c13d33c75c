"""Grouping by length, and going on when memory runs out."""

import ctypes
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from calig.batching import equal_lengths, fetched, halving_on_out_of_memory, return_memory


def test_groups_have_one_length_and_fit_the_budget():
    lengths = [5, 9, 5, 5, 9, 3]
    groups = list(equal_lengths(lengths, batch_tokens=10))
    assert sorted(i for g in groups for i in g) == list(range(6))
    assert all(len({lengths[i] for i in g}) == 1 for g in groups)
    assert all(sum(lengths[i] for i in g) <= 10 for g in groups)
    assert groups[0] == [1]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory: 9 bytes")])
def test_out_of_memory_halves_and_loses_nothing(error):
    sizes = []

    def work(part):
        sizes.append(len(part))
        if len(part) > 3:
            raise error
        return list(part)

    results = halving_on_out_of_memory(work, list(range(10)), size=8)
    assert [x for part in results for x in part] == list(range(10))
    assert sizes[:3] == [8, 4, 2]


def test_one_row_that_does_not_fit_is_an_error():
    def work(part):
        raise torch.OutOfMemoryError("no")

    with pytest.raises(torch.OutOfMemoryError):
        halving_on_out_of_memory(work, [1, 2], size=2)


def test_other_errors_pass_through():
    def work(part):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        halving_on_out_of_memory(work, [1, 2], size=2)


def test_several_tensors_are_fetched_in_one_transfer_and_keep_shapes_and_values():
    whole = torch.arange(6, dtype=torch.float32, requires_grad=True).view(2, 3)
    f, empty, scalar = fetched(whole, torch.zeros(0, 4), torch.tensor(2.5, dtype=torch.bfloat16))
    assert [part.dtype for part in (f, empty, scalar)] == [float] * 3
    np.testing.assert_array_equal(f, [[0, 1, 2], [3, 4, 5]])
    assert empty.shape == (0, 4)
    assert (scalar.shape, float(scalar)) == ((), 2.5)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc gives memory back on request")
def test_freed_memory_goes_back_although_a_later_piece_is_in_use():
    pieces = [bytes(16_384) for _ in range(6_000)]  # small enough to share one heap, which shrinks from its end only
    kept = pieces[-1]
    pieces.clear()
    before = _resident_bytes()
    return_memory()
    assert before - _resident_bytes() > 50e6
    assert len(kept) == 16_384


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
