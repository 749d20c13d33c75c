"""Which tokens are removed: counts, ties, masks, and that special tokens stay."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from calig.metrics.perturbation import (
    ImageFill,
    ImageSource,
    TextSource,
    check_fractions,
    curve_points,
    ranks,
    top_count,
    top_masks,
)

ATTRIBUTIONS = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-5, 5, width=16))


@pytest.mark.parametrize(
    ("n_content", "fraction", "expected"),
    [
        (10, 0.01, 1),
        (10, 0.1, 1),
        (10, 0.11, 2),
        (10, 0.5, 5),
        (30, 0.1, 3),
        (1, 0.5, 1),
        (7, 0.0, 0),
        (7, 1.0, 7),
        (200, 0.05, 10),
    ],
)
def test_top_count_rounds_up_and_takes_at_least_one(n_content: int, fraction: float, expected: int) -> None:
    assert top_count(n_content, fraction) == expected


def test_ranks_are_by_signed_value_and_ties_go_to_the_earlier_position() -> None:
    assert ranks(np.array([0.5, -3.0, 2.0, 0.5, 2.0])).tolist() == [2, 4, 0, 3, 1]


def test_masks_by_hand() -> None:
    masks = top_masks(np.array([1.0, 4.0, -2.0, 3.0]), (0.0, 0.25, 0.5, 1.0))
    assert masks.astype(int).tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1]]


@given(ATTRIBUTIONS)
def test_masks_grow_and_hold_the_largest_attributions(attribution: np.ndarray) -> None:
    points = curve_points((0.01, 0.05, 0.1, 0.2, 0.5))
    masks = top_masks(attribution, points)
    assert (masks[1:] >= masks[:-1]).all()
    for mask, point in zip(masks, points, strict=True):
        assert mask.sum() == top_count(attribution.size, point)
        if mask.any() and not mask.all():
            assert attribution[mask].min() >= attribution[~mask].max()


def test_text_keeps_special_tokens_and_its_own_ids() -> None:
    ids = np.array([2, 11, 12, 13, 3])
    source = TextSource(ids, np.array([False, True, True, True, False]), replacement_id=4)
    assert source.without(np.array([True, False, True])).input_ids.tolist() == [2, 4, 12, 4, 3]
    assert ids.tolist() == [2, 11, 12, 13, 3]
    assert source.n_content == 3


def test_deleted_tokens_keep_their_ids_and_places_and_leave_the_mask() -> None:
    ids = np.array([2, 11, 12, 13, 3])
    source = TextSource(ids, np.array([False, True, True, True, False]), replacement_id=4, deletes=True)
    item = source.without(np.array([True, False, True]))
    assert item.input_ids.tolist() == ids.tolist()
    assert item.attended is not None
    assert item.attended.astype(int).tolist() == [1, 0, 1, 0, 1]


@pytest.mark.parametrize("fill", ["zero", "blur"])
def test_image_remembers_which_patches_and_what_fills_them(fill: ImageFill) -> None:
    removed = np.array([True, False, False, True])
    item = ImageSource(Path("cat.png"), 4, fill).without(removed)
    assert (item.path, item.fill) == (Path("cat.png"), fill)
    assert item.removed.tolist() == removed.tolist()


@pytest.mark.parametrize("fractions", [(), (0.0, 0.5), (0.5, 0.2), (0.5, 0.5), (0.5, 1.0), (-0.1, 0.5), (float("nan"),)])
def test_fractions_that_make_no_curve_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="rise strictly"):
        check_fractions(fractions)
