"""Paired drift on tables with known answers: a planted word fires, diffuse noise does not, and what cannot be judged says so."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from components import drift
from components.drift.examples import gather
from components.drift.matching import match
from components.drift.pairing import Pairs, unmatched_targets
from components.drift.power import power_of
from components.drift.statistics import agreement, layers
from components.drift.statistics.word_shift import word_shifts
from components.table.rows import read_rows
from components.table.units import align
from schemas.base import CheckVerdict, Severity
from schemas.config import DriftConfig, PipelineConfig
from tests.helpers.drift_tables import LABELS, WORDS, example, profile, row, table, write
from tests.helpers.explained import explained, margin


def compare(candidate, reference, config=None, **changes):
    ours = {"method_fingerprint": "f", "dataset_digest": "d", "labels": LABELS, **changes}
    return drift.compare([candidate], reference, config=config or PipelineConfig(), decided_on="2026-01-01", **ours)


def test_a_planted_word_fails_and_is_named(tmp_path):
    reference = profile(table(tmp_path / "a.parquet", 1))
    report = compare(table(tmp_path / "b.parquet", 2, planted=4.0), reference)
    assert report.verdict is CheckVerdict.FAIL
    assert [s.word for s in report.word_shifts if s.fires] == ["btw"]
    assert report.word_shifts[0].toward == "POS"
    assert report.word_shifts[0].n == 20
    assert "“btw”" in report.reason
    assert "“btw”" in report.next_step
    assert all(e.text.startswith("btw") for e in report.worst)


@pytest.mark.parametrize(
    ("effect", "spread", "fires", "warns"),
    [
        (0.4, 0.0, True, False),
        (0.25, 0.0, False, True),
        (0.15, 0.0, False, False),
        (0.4, 0.35, False, True),  # z = 0.4 / (0.35 / √30 + 0.02) = 4.8
        (0.4, 0.7, False, False),  # z = 2.7
    ],
)
def test_a_word_below_a_limit_of_failure_may_warn(effect, spread, fires, warns):
    """Half of the 30 examples are `spread` above the mean effect, half below it: a standard deviation of 1.017 × `spread`."""
    changes = [effect + spread * (1 if i % 2 else -1) for i in range(30)]
    ones = {"mass": (1.0, 1.0), "differences": (1.0, 1.0), "margin": 0.5}
    examples = [example([0.5, 0.0], [0.5, change], ["so", "btw"], id=str(i), **ones) for i, change in enumerate(changes)]
    found = {s.word: s for s in word_shifts(gather(examples), DriftConfig(phrase_words=1))}
    assert (found["btw"].fires, found["btw"].warns) == (fires, warns)
    assert (found["so"].fires, found["so"].warns) == (False, False)


def test_a_comparison_that_warns_passes_and_says_so(tmp_path):
    reference = profile(table(tmp_path / "a.parquet", 1, noise=0.01))
    config = PipelineConfig(drift=DriftConfig(word_shift=5.0))
    report = compare(table(tmp_path / "b.parquet", 2, planted=4.0, noise=0.01), reference, config)
    assert report.verdict is CheckVerdict.PASS
    assert [s.word for s in report.word_shifts if s.warns] == ["btw"]
    assert "a warning, look at “btw”" in report.reason
    limits = {t.name: t for t in report.thresholds}
    assert (limits["|word shift| of a warning"].limit, limits["|z| of a warning"].limit) == (0.2, 4.0)
    assert all(t.severity is Severity.WARNING for name, t in limits.items() if "warning" in name)


def test_diffuse_noise_passes(tmp_path):
    reference = profile(table(tmp_path / "a.parquet", 1, noise=0.3))
    report = compare(table(tmp_path / "b.parquet", 2, noise=0.3), reference)
    assert report.verdict is CheckVerdict.PASS
    assert not any(s.fires for s in report.word_shifts)
    assert report.words_tested == len(WORDS) + 1


def test_identical_tables_agree_completely(tmp_path):
    path = table(tmp_path / "a.parquet", 1)
    report = compare(path, profile(path))
    values = {s.name: s.value for s in report.statistics if s.slice == "all"}
    assert values == pytest.approx(
        {"rank agreement": 1, "top-k overlap": 1, "sign-flip rate": 0, "mass ratio": 0, "reason change": 0}
    )
    assert report.layer_profile.distance == pytest.approx(0)
    assert (report.accuracy_change, report.flipped, report.n_paired) == (0, 0, 80)


def test_flips_are_counted_and_kept_out_of_the_same_answer_slice(tmp_path):
    reference = profile(table(tmp_path / "a.parquet", 1))
    report = compare(table(tmp_path / "b.parquet", 2, predictions={0: "NEG", 1: "NEG"}), reference)
    assert report.flipped == 2
    assert {s.n for s in report.statistics if s.slice == "same answer" and s.name == "mass ratio"} == {78}
    assert report.accuracy_change == pytest.approx(0.0), "row 0 is now right, row 1 is now wrong"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dataset_digest": "e"}, "other rows"),
        ({"method_fingerprint": "g"}, "other attribution settings"),
        ({"labels": ("A", "B")}, "different classes"),
    ],
)
def test_what_cannot_be_compared_is_inconclusive(tmp_path, changes, reason):
    path = table(tmp_path / "a.parquet", 1)
    report = compare(path, profile(path), **changes)
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert reason in report.reason
    assert report.next_step


def test_too_few_rows_are_inconclusive(tmp_path):
    path = table(tmp_path / "a.parquet", 1, n=29)
    report = compare(path, profile(path))
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert report.n_paired == 29


def test_thresholds_state_their_source(tmp_path):
    path = table(tmp_path / "a.parquet", 1)
    config = PipelineConfig(drift=DriftConfig(word_shift=0.5))
    limits = {t.name: t for t in compare(path, profile(path), config).thresholds}
    assert limits["|word shift|"].source == "set in the configuration"
    assert "training noise not measured" in limits["|z| of the word shift"].source
    assert all(t.date == "2026-01-01" for t in limits.values())


def test_opposite_targets_of_a_binary_model_are_put_in_terms_of_one_class(tmp_path):
    a = read_rows([table(tmp_path / "a.parquet", 1, noise=0.0)])
    b = {k: {**r, **explained("NEG", LABELS), "words": [{**w, "value": -w["value"]} for w in r["words"]]} for k, r in a.items()}
    for paired in Pairs(a, b, LABELS):
        np.testing.assert_allclose(paired.candidate, paired.reference)
        assert paired.toward == "POS"


def test_with_three_classes_changed_answers_need_a_row_toward_the_reference_s_target(tmp_path):
    labels, rows = ("NEG", "POS", "OTHER"), read_rows([table(tmp_path / "a.parquet", 1)])
    a = {k: {**r, **explained("POS", labels)} for k, r in rows.items()}
    b = {k: {**r, **explained("NEG" if int(k) < 5 else "POS", labels)} for k, r in rows.items()}
    assert len(list(Pairs(a, b, labels))) == 75
    again = {str(k): {**a[str(k)], "words": [{**w, "value": 2 * w["value"]} for w in a[str(k)]["words"]]} for k in range(4)}
    paired = list(Pairs(a, b, labels, again))
    assert len(paired) == 79
    assert [e.mass[1] / e.mass[0] for e in paired[:5]] == pytest.approx([2, 2, 2, 2, 1])
    assert match(a, b, labels, again, config=DriftConfig()).coverage.no_common_class == 1


def test_targets_without_a_counterpart_are_listed(tmp_path):
    """Of three classes; a margin pairs with its own reverse, and not with another one."""
    labels = ("NEG", "POS", "OTHER")
    given = [explained("POS", labels), margin("POS", "NEG", labels), margin("POS", "NEG", labels), explained("POS", labels)]
    found = [explained("NEG", labels), margin("NEG", "POS", labels), margin("POS", "OTHER", labels), explained("POS", labels)]
    for name, columns in (("a", given), ("b", found)):
        write(tmp_path / f"{name}.parquet", [row(i, ["word"], [1.0]) | c for i, c in enumerate(columns)])
    missing = unmatched_targets([tmp_path / "a.parquet"], [tmp_path / "b.parquet"])
    assert {key: wanted["target"] for key, wanted in missing.items()} == {"0": "POS", "2": "POS − NEG"}


def test_independent_labels_are_never_turned(tmp_path):
    """Two labels that do not exclude each other: what speaks for one does not speak against the other."""
    rows = read_rows([table(tmp_path / "a.parquet", 1)])
    a, b = ({k: {**r, **explained(name, LABELS, "logit")} for k, r in rows.items()} for name in LABELS)
    assert list(Pairs(a, b, LABELS)) == []
    paired = next(iter(Pairs(a, a, LABELS)))
    assert (paired.toward, paired.opposite) == ("NEG", None)


def test_alignment_joins_what_overlaps():
    cased = [((0, 3), 1.0), ((4, 11), 2.0)]
    pieces = [((0, 3), 0.5), ((4, 6), 0.25), ((6, 11), 0.5), ((11, 12), 1.0)]
    assert align(cased, pieces) == [((0, 3), 1.0, 0.5), ((4, 11), 2.0, 0.75), ((11, 12), 0.0, 1.0)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_alignment_loses_nothing_and_does_not_overlap(widths_a, widths_b):
    sides = [
        [((int(e - w), int(e)), float(e)) for w, e in zip(widths, np.cumsum(widths), strict=True)]
        for widths in (widths_a, widths_b)
    ]
    joined = align(*sides)
    assert sum(a for _, a, _ in joined) == pytest.approx(sum(v for _, v in sides[0]))
    assert sum(b for _, _, b in joined) == pytest.approx(sum(v for _, v in sides[1]))
    assert all(x[0][1] <= y[0][0] for x, y in itertools.pairwise(joined))


def test_statistics_by_hand():
    e = example([0.5, -0.25, 0.25], [0.5, 0.25, 0.25])
    assert agreement.sign_flip(e) == pytest.approx(0.25)
    assert agreement.top_k_overlap(e, 1) == 1.0
    assert agreement.top_k_overlap(e, 3) is None
    assert agreement.reason_change(e) == pytest.approx(0.25)
    assert agreement.mass_ratio(e) == pytest.approx(1.0)
    assert agreement.rank_agreement(example([0.1, 0.2, 0.7], [0.7, 0.2, 0.1])) == pytest.approx(-1.0)
    assert agreement.rank_agreement(example([0.5, 0.5], [0.5, 0.5])) is None
    assert layers.LayerSums.of([e]).profile().distance == pytest.approx(0.5579230452841438), "Jensen-Shannon of (½, ½) and (1, 0)"


def test_word_shift_by_hand():
    pairs = [(0.1, 0.5), (0.2, 0.4), (0.0, 0.6), (0.1, 0.5), (0.1, 0.5)]
    shift = word_shifts(gather([example([a], [b], ["x"]) for a, b in pairs]), DriftConfig())[0]
    change = np.array([b - a for a, b in pairs])
    z = change.mean() / (change.std(ddof=1) / np.sqrt(5) + 0.02)
    assert (shift.shift, shift.effect, shift.z) == (pytest.approx(change.mean()), pytest.approx(change.mean()), pytest.approx(z))
    assert shift.p_value == pytest.approx(2 * stats.t.sf(z, 4))
    assert shift.q_value == shift.p_value
    assert shift.n == 5


def test_repeated_words_of_one_example_are_summed_and_case_is_folded():
    shifts = word_shifts(gather([example([0.5, 0.5], [0.1, 0.2], ["So", "so"])] * 5), DriftConfig())
    assert [(s.word, s.n) for s in shifts] == [("so", 5)]
    assert shifts[0].shift == pytest.approx(-0.7)


def test_a_word_below_the_minimum_is_not_tested():
    assert word_shifts(gather([example([1.0], [-1.0], ["x"])] * 4), DriftConfig()) == []


def of_length(n_fillers, scale=1.0, planted=0.0, seed=0):
    """Examples in which two words decide (±2 and ±1, by the seed's noise) among fillers that cancel; “btw” in every third."""
    random = np.random.default_rng(seed)
    for i in range(60):
        noise = 0.1 * random.standard_normal(4)
        fillers = np.tile([0.05, -0.05], n_fillers // 2)
        words = ["great" if i % 2 else "dull", "plot", *(["btw"] if i % 3 == 0 else []), *[f"w{k}" for k in range(len(fillers))]]
        values = [2.0 if i % 2 else -2.0, 1.0, *([planted] if i % 3 == 0 else []), *fillers]
        yield words, scale * (np.array(values) + np.pad(noise[: len(values) - len(fillers)], (0, len(fillers)))), str(i)


def shifted(n_fillers, scale=1.0):
    pairs = zip(of_length(n_fillers, seed=1), of_length(n_fillers, scale, planted=1.5, seed=2), strict=True)
    examples = []
    for (words, a, key), (_, b, _) in pairs:
        masses = (float(np.abs(a).sum()), float(np.abs(b).sum()))
        sizes = [abs(float(side.sum())) for side in (a, b)]
        made = example(list(a / masses[0]), list(b / masses[1]), words, id=key)
        examples.append(replace(made, mass=masses, differences=(sizes[0], sizes[1]), margin=sizes[0]))
    return {s.word: s for s in word_shifts(gather(examples), DriftConfig()) if s.slice == "all"}


def test_a_planted_word_fires_however_long_the_texts_are():
    """Its share falls by the length; its effect, what it adds to the decision, does not."""
    short, long = shifted(10), shifted(200)
    assert short["btw"].fires
    assert long["btw"].fires
    assert long["btw"].shift < 0.2
    assert short["btw"].shift > 0.3
    assert long["btw"].effect == pytest.approx(short["btw"].effect, rel=0.1)
    assert [word for word, s in long.items() if s.fires] == ["btw"]


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_a_head_moves_no_verdict(scale):
    """A candidate whose logits are a thousand times smaller or larger answers alike: temperature is no drift."""
    plain, scaled = shifted(10), shifted(10, scale)
    for word, shift in plain.items():
        assert scaled[word].effect == pytest.approx(shift.effect, rel=1e-9)
        assert (scaled[word].z, scaled[word].fires) == (pytest.approx(shift.z, rel=1e-9), shift.fires)


def test_answers_that_a_word_could_turn_are_those_with_a_smaller_margin():
    pairs = [(0.1, 0.5)] * 5
    margins = [0.1, 0.3, 0.39, 0.41, 2.0]
    found = [example([a], [b], ["x"], margin=m) for (a, b), m in zip(pairs, margins, strict=True)]
    assert word_shifts(gather(found), DriftConfig())[0].turned == pytest.approx(3 / 5)
    unknown = [example([a], [b], ["x"], margin=None) for a, b in pairs]
    assert word_shifts(gather(unknown), DriftConfig())[0].turned is None


def test_what_was_hardly_tested_is_inconclusive_and_says_how_many_rows_would_do(tmp_path):
    """Every row has two words that occur nowhere else, with most of the attribution."""
    rare = [row(i, [f"only{i}", f"once{i}", "film", "plot"], [2.0, -1.0, 0.3, 0.2]) for i in range(40)]
    path = write(tmp_path / "a.parquet", rare)
    report = compare(path, profile(path))
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert report.power.tested_mass == pytest.approx(0.5 / 3.5)
    assert report.power.rows_needed == 5 * 40
    assert "about 200 of this kind" in report.next_step
    low = compare(path, profile(path), PipelineConfig(drift=DriftConfig(min_tested_mass=0.1)))
    assert low.verdict is CheckVerdict.PASS
    assert low.power.rows_needed is None


def test_a_word_is_tested_toward_a_class_of_which_enough_rows_hold_it():
    """Four rows with the word count toward one class and a fifth toward another: the fifth row's is not tested."""
    found = [example([1.0], [1.0], ["x"], id=str(i), toward="A" if i < 4 else "B", opposite=None) for i in range(5)]
    config, found = DriftConfig(min_occurrences=4), gather(found)
    assert power_of(found, word_shifts(found, config), config).tested_mass == pytest.approx(4 / 5)


def test_the_detectable_effect_is_what_the_limits_and_the_errors_make_of_it(tmp_path):
    path = table(tmp_path / "a.parquet", 1)
    power = compare(path, profile(path)).power
    assert power.tested_mass == pytest.approx(1.0)
    assert power.detectable_effect == pytest.approx(0.3 + stats.norm.ppf(0.8) * 0.02)  # no error but the floor: nothing changed


def test_another_baseline_is_another_zero(tmp_path):
    rows = [row(i, ["film", "plot"], [2.0, -1.0]) for i in range(40)]
    ours = write(tmp_path / "b.parquet", [r | {"baseline": "pad"} for r in rows])
    report = compare(ours, profile(write(tmp_path / "a.parquet", rows)))
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert "different baselines: mask and pad" in report.reason
    assert "attribution.baseline" in report.next_step
