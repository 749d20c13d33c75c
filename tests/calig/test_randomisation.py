"""Cascading randomisation: every family falls apart stage by stage, and the model itself is untouched."""

import hashlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from calig import explain
from calig.randomisation import agreement, cascade, rank_correlation, stage_names
from tests.calig.conftest import TEXTS
from tests.helpers.tiny_families import CASES, tiny


def digest(model) -> str:
    state = model.state_dict()
    return hashlib.sha256(b"".join(name.encode() + state[name].numpy().tobytes() for name in sorted(state))).hexdigest()


@pytest.mark.parametrize("name", CASES)
def test_every_matrix_is_randomised_in_its_stage_and_only_there(name):
    model = tiny(name)
    before, random_state = digest(model), torch.random.get_rng_state()
    matrices = {n for n, p in model.named_parameters() if p.dim() > 1}
    last = {n: p.clone() for n, p in model.state_dict().items()}
    changed_in: dict[str, str] = {}
    for stage, copy in cascade(model, seed=0):
        state = copy.state_dict()
        changed = {n for n in matrices if not torch.equal(state[n], last[n])}
        assert changed, stage
        assert not changed & set(changed_in), "a stage leaves the earlier ones as they are"
        changed_in |= dict.fromkeys(changed, stage)
        last = {n: p.clone() for n, p in state.items()}
    assert set(changed_in) == matrices
    assert list(dict.fromkeys(changed_in.values())) == stage_names(model)
    assert digest(model) == before
    assert torch.equal(torch.random.get_rng_state(), random_state)


def test_stages_of_a_known_model(bert):
    model, _ = bert
    assert stage_names(model) == ["head", "block 3", "block 2", "block 1", "embeddings"]
    changed = []
    last = {n: p.clone() for n, p in model.named_parameters()}
    for _, copy in cascade(model, seed=0):
        now = dict(copy.named_parameters())
        changed.append({n.split(".")[1] if "." in n[10:] else n for n in now if not torch.equal(now[n], last[n])})
        last = {n: p.detach().clone() for n, p in now.items()}
    assert changed[0] >= {"pooler"}
    assert changed[-1] == {"embeddings"}


def test_learned_biases_and_scales_go_too(bert):
    model, _ = bert
    names = [n for n, p in model.named_parameters() if p.dim() == 1]
    kept = {n: p.clone() for n, p in model.state_dict().items()}
    try:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in names:
                    parameter.fill_(0.37)
        copy = list(cascade(model, seed=0))[-1][1]
        values = {n: p for n, p in copy.named_parameters() if n in names}
        assert all(bool((p == (0.0 if n.endswith("bias") else 1.0)).all()) for n, p in values.items())
    finally:
        model.load_state_dict(kept)


def test_seeds(bert):
    model, _ = bert
    first, again, other = (digest(list(cascade(model, seed=seed))[-1][1]) for seed in (0, 0, 1))
    assert first == again != other


def test_randomised_models_can_be_explained_with_the_target_fixed(bert):
    model, tokenizer = bert
    maps = [explain(copy, tokenizer, TEXTS[1], target="POS")[0].values for _, copy in cascade(model, seed=0)]
    original = explain(model, tokenizer, TEXTS[1], target="POS")[0].values
    assert all(np.isfinite(values).all() for values in maps)
    assert not any(np.allclose(values, original) for values in maps)
    assert all(p.requires_grad for p in model.parameters())


VALUES = hnp.arrays(np.float64, 8, elements=st.integers(-4, 4).map(float))


@given(VALUES, VALUES)
def test_equals_scipy_with_ties(a: np.ndarray, b: np.ndarray) -> None:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert math.isnan(rank_correlation(a, b))
    else:
        assert rank_correlation(a, b) == pytest.approx(float(stats.spearmanr(a, b).statistic), abs=1e-12)


def test_a_map_turned_around_has_not_fallen() -> None:
    original = np.array([0.5, -2.0, 1.0, 0.1])
    assert agreement(original, original) == pytest.approx((1.0, 1.0))
    assert agreement(original, -original) == pytest.approx((-1.0, 1.0))


@pytest.mark.parametrize(("a", "b"), [([1.0, 2.0], [2.0, 1.0]), ([], []), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])])
def test_nothing_to_compare(a: list[float], b: list[float]) -> None:
    assert math.isnan(rank_correlation(np.array(a), np.array(b)))
