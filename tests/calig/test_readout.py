"""The last block for one position: which position, and that nothing else changes."""

import pytest
import torch

from calig.blocks import attributable
from calig.families import FAMILIES
from calig.readout import only_for, read_out_position
from tests.calig.conftest import TEXTS
from tests.helpers.tiny_families import tiny


@pytest.mark.parametrize(("read", "position"), [([0], 0), ([3], -1), ([1], None), ([0, 1], None), ([], None)])
def test_the_position_is_found_from_the_gradient(read, position):
    gradient = torch.zeros(2, 4, 5)
    gradient[:, read] = 1.0
    assert read_out_position(gradient) == position


def test_rows_that_read_different_positions_have_none():
    gradient = torch.zeros(2, 4, 5)
    gradient[0, 0] = gradient[1, 3] = 1.0
    assert read_out_position(gradient) is None


def found(family, bert):
    model = tiny(family)
    ids = bert[1](TEXTS[0], return_tensors="pt")["input_ids"]
    image = FAMILIES[family].modality == "image"
    inputs = {"pixel_values": torch.randn(1, 3, 16, 16, dtype=torch.float64)} if image else {"input_ids": ids}
    with attributable(model) as stack:
        trace = stack.trace(inputs)
        (gradient,) = torch.autograd.grad(trace.logits[:, 0].sum(), trace.output)
    return read_out_position(gradient)


@pytest.mark.parametrize(("family", "position"), [("bert", 0), ("llama", -1), ("gpt2", -1), ("vit", 0), ("modernbert", None)])
def test_families_read_where_they_should(family, position, bert):
    assert found(family, bert) == position


@pytest.mark.parametrize("family", FAMILIES)
def test_the_table_knows_which_families_read_the_last_position(family, bert):
    """Not by name: where the logit's gradient lies."""
    assert FAMILIES[family].reads_last == (found(family, bert) == -1)


def test_nothing_is_left_of_it(bert):
    model, _ = bert
    block = model.bert.encoder.layer[-1]

    def hooked():
        return any(m._forward_pre_hooks for m in block.modules())

    def fail_inside():
        with only_for(0, block):
            assert hooked()
            raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        fail_inside()
    assert not hooked()
