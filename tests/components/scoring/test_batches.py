"""Batches: every input once, within the budget; padding masked; removed patches black."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calig.metrics.perturbation import PerturbedImage, PerturbedText
from components.common.errors import CouldNotRunError, InputError
from components.scoring.batches import ImageCollator, TextCollator, batches


@given(st.lists(st.integers(1, 60), max_size=80), st.integers(1, 200))
def test_every_input_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    groups = list(batches(lengths, batch_tokens=budget))
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or max(lengths[index] for index in group) * len(group) <= budget


def test_similar_lengths_share_a_batch() -> None:
    assert list(batches([9, 2, 9, 2], batch_tokens=18)) == [[1, 3], [0, 2]]


def test_text_padding_is_masked() -> None:
    arrays = TextCollator().arrays([PerturbedText(np.array([5, 6, 7])), PerturbedText(np.array([-1]))])
    assert arrays["input_ids"].tolist() == [[5, 6, 7], [-1, 0, 0]]
    assert arrays["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_deleted_tokens_are_masked_in_their_place() -> None:
    holed = PerturbedText(np.array([5, 6, 7]), attended=np.array([True, False, True]))
    arrays = TextCollator().arrays([PerturbedText(np.array([8, 9])), holed])
    assert arrays["input_ids"].tolist() == [[8, 9, 0], [5, 6, 7]]
    assert arrays["attention_mask"].tolist() == [[1, 1, 0], [1, 0, 1]]


def test_the_token_that_a_decoder_reads_cannot_be_deleted() -> None:
    item = PerturbedText(np.array([5, 6]), attended=np.array([True, False]))
    TextCollator().arrays([item])
    with pytest.raises(InputError, match="cannot be deleted"):
        TextCollator(reads_last=True).arrays([item])


def test_kinds_of_input_are_not_mixed_up() -> None:
    with pytest.raises(CouldNotRunError, match="cannot score an image"):
        TextCollator().length(PerturbedImage(Path("a.png"), np.array([True])))
    with pytest.raises(CouldNotRunError, match="cannot score a text"):
        ImageCollator(None, patch_size=8).length(PerturbedText(np.array([1])))
