"""Max-sensitivity: against Captum on the same draws, and by hand."""

import math

import numpy as np
import pytest
import torch
from captum.metrics import sensitivity_max

from calig.metrics.infidelity import each_uniform_shift, max_sensitivity


def shifts(shape: tuple[int, ...], **drawn: float) -> np.ndarray:
    return np.stack(list(each_uniform_shift(shape, **drawn)))


def test_equals_captum_on_the_same_draws() -> None:
    weights = torch.randn(6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = torch.linspace(-1, 1, 6, dtype=torch.float64)[None]

    def explain(inputs: torch.Tensor) -> torch.Tensor:
        """Input × gradient of the sum of tanh(w x)."""
        return inputs * weights * (1 - torch.tanh(weights * inputs) ** 2)

    draws = torch.tensor(shifts((6,), draws=10, radius=0.02, seed=0, row=4))
    expected = sensitivity_max(
        lambda inputs: (explain(*inputs),), (x,), perturb_func=lambda inputs, _: (inputs[0] + draws,), n_perturb_samples=10
    )
    ours = max_sensitivity(explain(x)[0].numpy(), explain(x + draws).numpy())
    np.testing.assert_allclose(ours, float(expected), rtol=1e-9)


def test_by_hand() -> None:
    assert max_sensitivity(np.array([3.0, 4.0]), np.array([[3.0, 4.0], [3.0, 5.0], [0.0, 0.0]])) == pytest.approx(1.0)
    assert max_sensitivity(np.array([3.0, 4.0]), np.array([[3.0, 4.0]])) == 0.0
    assert math.isnan(max_sensitivity(np.zeros(2), np.ones((1, 2))))


def test_draws_stay_within_the_radius_and_fill_it() -> None:
    draws = shifts((3, 50), draws=10, radius=0.02, seed=0, row=1)
    assert draws.shape == (10, 3, 50)
    assert 0.019 < np.abs(draws).max() <= 0.02
    np.testing.assert_array_equal(draws, shifts((3, 50), draws=10, radius=0.02, seed=0, row=1))
    assert not np.array_equal(draws, shifts((3, 50), draws=10, radius=0.02, seed=0, row=2))
