"""Nudged inputs: δ is added to h⁰ of the row and to nothing else, and what it changes is what the model does."""

import numpy as np
import pytest
import torch

from calig.api import encode
from calig.baselines import choose_baseline
from calig.blocks import attributable
from calig.engine import Options, attribute
from calig.families import FAMILIES
from calig.inputs import joined_shifts, shift_shape, shifted
from tests.calig.conftest import TEXTS
from tests.helpers.tiny_families import CASES


def run(model, processor, rows):
    with attributable(model) as stack:
        baseline = choose_baseline("auto", model, processor, stack.family.modality)
        done = attribute(stack, rows, [None] * len(rows), baseline, Options(target=model.config.id2label[1], objective="logit"))
    return [row[0] for row in done]


def test_texts_move_as_if_the_embeddings_had(bert):
    """f(x + δ) by PyTorch: δ added behind the embedding layer by a hook. The baseline stays where it was."""
    model, tokenizer = bert
    row = encode(TEXTS[0], model, tokenizer)
    shape = shift_shape(row, model)
    assert shape == (row.length, 32)
    delta = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain, moved = run(model, tokenizer, [row, shifted(row, delta)])
    hook = model.bert.embeddings.register_forward_hook(lambda _, __, output: output + delta)
    try:
        expected = model(**row.inputs).logits[0, 1].item()
    finally:
        hook.remove()
    assert moved.f_input == pytest.approx(expected, rel=1e-9)
    assert moved.f_baseline == plain.f_baseline
    assert moved.values.sum() == pytest.approx(expected - plain.f_baseline, rel=1e-9)
    alone = run(model, tokenizer, [shifted(row, delta)])[0]
    np.testing.assert_allclose(alone.values, moved.values, rtol=1e-9)
    still = run(model, tokenizer, [shifted(row, torch.zeros(shape))])[0]
    np.testing.assert_allclose(still.values, plain.values, rtol=1e-9)


def test_images_move_by_their_pixels(vit, pictures):
    model, processor = vit
    row = encode(pictures[0], model, processor)
    delta = 0.1 * torch.ones(shift_shape(row, model))
    plain, moved = run(model, processor, [row, shifted(row, delta)])
    expected = model(pixel_values=row.inputs["pixel_values"].double() + delta.double()).logits[0, 1].item()
    assert moved.f_input == pytest.approx(expected, rel=1e-6)
    assert moved.f_baseline == plain.f_baseline


def test_rows_without_a_shift_have_none(bert):
    model, tokenizer = bert
    row = encode(TEXTS[0], model, tokenizer)
    assert joined_shifts([row, row]) is None
    both = joined_shifts([row, shifted(row, torch.ones(row.length, 32))])
    assert both[0].abs().max() == 0
    assert both[1].min() == 1


@pytest.mark.parametrize("name", [name for name in CASES if FAMILIES[name].modality == "text"])
def test_every_text_family_can_be_nudged(name, bert):
    from tests.helpers.tiny_families import tiny

    model, (_, tokenizer) = tiny(name), bert
    row = encode(TEXTS[0], model, tokenizer)
    if not CASES[name].token_types:
        row.inputs.pop("token_type_ids", None)
    delta = 0.02 * torch.ones(shift_shape(row, model))
    plain, moved = run(model, tokenizer, [row, shifted(row, delta)])
    assert moved.f_input != plain.f_input
    assert moved.values.sum() == pytest.approx(moved.f_input - moved.f_baseline, rel=1e-6)
