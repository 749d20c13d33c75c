"""The share of the reasons that moved: by hand."""

import numpy as np
import pytest

from components.table.units import reason_change


def test_reason_change_is_half_the_distance_over_the_last_axis() -> None:
    before, after = np.array([0.5, 0.3, -0.2]), np.array([0.1, 0.3, 0.6])
    assert reason_change(before, before) == 0.0
    assert reason_change(before, after) == pytest.approx((0.4 + 0.0 + 0.8) / 2)
    assert reason_change(before, -before) == pytest.approx(1.0), "all reasons turned"
    np.testing.assert_allclose(reason_change(np.stack([before, after]), np.stack([after, after])), [0.6, 0.0])
