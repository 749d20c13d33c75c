"""Infidelity: against Captum, by hand, and on an additive model, where the true attributions have none."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from hypothesis import given
from hypothesis import strategies as st

from calig.metrics.infidelity import Removals, infidelity, logit_drops, normalised_infidelity, random_sets
from calig.metrics.perturbation import PerturbedInput, PerturbedText, TextSource

MASK = 0
CONTENT = np.array([False, True, True, True, True, False])
IDS = np.array([1, 2, 5, 3, 4, 1])


class Network:
    """A small network over one number per token, float64; [MASK] is the number 0. Logits of two classes."""

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        self.numbers = torch.tensor([0.0, 0.3, 1.2, -0.7, 0.9, -1.1], dtype=torch.float64)
        self.first, self.second = (torch.randn(*shape, generator=random, dtype=torch.float64) for shape in ((6, 5), (5, 2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ self.first) @ self.second

    def logits(self, inputs: Sequence[PerturbedInput]) -> np.ndarray:
        ids = np.stack([item.input_ids for item in inputs if isinstance(item, PerturbedText)])
        return self.forward(self.numbers[torch.tensor(ids)]).numpy()


def additive(inputs: Sequence[PerturbedInput]) -> np.ndarray:
    weights = np.array([0.0, 0.4, 1.0, -2.0, 0.5, 3.0])
    f = np.array([weights[item.input_ids].sum() for item in inputs if isinstance(item, PerturbedText)])
    return np.stack([-f, f], axis=1)


def removals(weights: Sequence[float] = (0.0, 1.0), draws: int = 40) -> Removals:
    return Removals(
        TextSource(IDS, CONTENT, MASK), random_sets(4, draws=draws, seed=0, row=3), lambda logits: logits @ np.array(weights)
    )


@pytest.mark.parametrize("normalise", [False, True])
def test_equals_captum_on_the_same_sets(normalise: bool) -> None:
    network, given = Network(), removals()
    phi = np.array([0.4, -0.9, 0.2, 0.7])
    (drops,) = logit_drops([given], logits=network.logits)
    x = network.numbers[torch.tensor(IDS)][None]
    masks = torch.zeros(len(given.removed), 6, dtype=torch.float64)
    masks[:, torch.tensor(CONTENT)] = torch.tensor(given.removed, dtype=torch.float64)
    expected = captum_infidelity(
        network.forward,
        lambda inputs: (masks, torch.where(masks.bool(), 0.0, inputs)),
        x,
        torch.tensor(np.where(CONTENT, np.insert(phi, [0, 4], 0.0), 0.0))[None],
        target=1,
        n_perturb_samples=len(masks),
        normalize=normalise,
    )
    ours = normalised_infidelity if normalise else infidelity
    np.testing.assert_allclose(ours(phi, given.removed, drops), float(expected), rtol=1e-9)


def test_an_additive_model_and_its_weights_have_none() -> None:
    given = removals()
    (drops,) = logit_drops([given], logits=additive)
    truth = np.array([1.0, 3.0, -2.0, 0.5])
    assert infidelity(truth, given.removed, drops) == pytest.approx(0.0, abs=1e-24)
    assert infidelity(2 * truth, given.removed, drops) > 0.1
    assert normalised_infidelity(2 * truth, given.removed, drops) == pytest.approx(0.0, abs=1e-24)
    assert normalised_infidelity(truth[::-1], given.removed, drops) > 0.1


def test_a_margin_is_the_difference_of_two_logits() -> None:
    (one,), (margin,) = (logit_drops([removals(weights)], logits=additive) for weights in ((0.0, 1.0), (-1.0, 1.0)))
    np.testing.assert_allclose(margin, 2 * one)


def test_by_hand() -> None:
    """Sets {a}, {a, b}; f falls by 1 and 3. φ = (2, 0): (2 − 1)² and (2 − 3)². Best β = (2·1 + 2·3) / (4 + 4) = 1."""
    removed, drops = np.array([[True, False], [True, True]]), np.array([1.0, 3.0])
    phi = np.array([[2.0, 0.0], [4.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(infidelity(phi, removed, drops), [1.0, 5.0, 5.0])
    np.testing.assert_allclose(normalised_infidelity(phi, removed, drops), [1.0, 1.0, 5.0])


@given(n=st.integers(1, 30), seed=st.integers(0, 5), row=st.integers(0, 1000))
def test_sets_are_never_empty_and_depend_on_seed_and_row_alone(n: int, seed: int, row: int) -> None:
    sets = random_sets(n, draws=7, seed=seed, row=row)
    assert sets.shape == (7, n)
    assert sets.any(axis=1).all()
    np.testing.assert_array_equal(sets, random_sets(n, draws=7, seed=seed, row=row))


def test_sizes_are_even() -> None:
    sizes = random_sets(4, draws=4000, seed=0, row=0).sum(axis=1)
    np.testing.assert_allclose(np.bincount(sizes, minlength=5)[1:] / 4000, 0.25, atol=0.03)


def test_rows_are_scored_in_one_call() -> None:
    calls: list[int] = []

    def counted(inputs: Sequence[PerturbedInput]) -> np.ndarray:
        calls.append(len(inputs))
        return additive(inputs)

    both = logit_drops([removals(draws=3), removals(draws=5)], logits=counted)
    assert len(calls) == 1
    assert calls[0] <= 10  # equal sets are scored once
    assert [len(drops) for drops in both] == [3, 5]
    np.testing.assert_allclose(both[1], logit_drops([removals(draws=5)], logits=additive)[0])
    assert logit_drops([], logits=counted) == []
