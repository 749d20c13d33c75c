"""The noise floor: twins and history raise the limits, never lower them, and what they cannot say stays a stated prior."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from components import drift
from components.drift.matching import match
from components.drift.noise import excess, null_pair, upper
from components.drift.pairing import Pairs
from components.table.rows import read_rows
from schemas.base import CheckVerdict
from schemas.config import DriftConfig, PipelineConfig
from schemas.reference import NoiseSources, NullProfiles
from tests.helpers.drift_tables import LABELS, profile, row, table, texts, write

QUIET, RETRAINED, NOISY = 0.05, 0.1, 0.5
UNCAPPED = PipelineConfig(drift=DriftConfig(noise_cap=100))


def compare(candidate, reference, sources=None, config=None):
    return drift.compare(
        [candidate],
        reference,
        method_fingerprint="f",
        dataset_digest="d",
        labels=LABELS,
        config=config or PipelineConfig(),
        decided_on="2026-01-01",
        sources=sources,
    )


def twins(folder, n=3, kind="twins", first=5, **options):
    """`n` profiles, by other seeds and with the given noise."""
    profiles = [profile(table(folder / f"twin-{i}.parquet", 100 + i, **options), str(first + i)) for i in range(n)]
    return NoiseSources(nulls=(NullProfiles(kind=kind, profiles=tuple(profiles)),))


@pytest.mark.parametrize("kind", ["twins", "history"])
@pytest.mark.parametrize("unstable", [RETRAINED, 0.3])
def test_a_planted_word_fires_under_every_null(tmp_path, kind, unstable):
    reference = profile(table(tmp_path / "a.parquet", 1))
    sources = twins(tmp_path, 4, kind, unstable=unstable)
    report = compare(table(tmp_path / "b.parquet", 2, planted=6.0), reference, sources)
    assert report.verdict is CheckVerdict.FAIL
    assert report.noise.retraining == kind
    assert len(report.noise.pairs) == {"twins": 10, "history": 3}[kind]
    assert [s.word for s in report.word_shifts if s.fires] == ["btw"]


def test_a_null_of_noisy_twins_spares_an_equally_large_honest_change(tmp_path):
    reference, candidate = profile(table(tmp_path / "a.parquet", 1)), table(tmp_path / "b.parquet", 2, unstable=NOISY)
    unmeasured = compare(candidate, reference)
    assert unmeasured.verdict is CheckVerdict.FAIL, "the stated prior does not know how noisy this model's training is"
    assert unmeasured.noise.retraining == "prior"
    measured = compare(candidate, reference, twins(tmp_path, 3, unstable=NOISY), UNCAPPED)
    assert measured.verdict is CheckVerdict.PASS
    assert measured.noise.uncapped is None
    assert [identity.version for identity in measured.noise.versions] == ["5", "6", "7"]
    assert measured.noise.factor > 1
    limits = {t.name: t for t in measured.thresholds}
    assert limits["|word shift|"].limit == pytest.approx(0.3 * measured.noise.factor)
    assert limits["|z| of the word shift"].limit == pytest.approx(6 * measured.noise.factor)
    assert limits["|word shift|"].n_null == 6
    assert limits["|word shift|"].set_by == "the measured noise"
    assert "versions 1, 5, 6, 7" in limits["|word shift|"].source
    assert limits["rank agreement"].limit < 0.8


def test_a_quiet_null_lowers_no_limit(tmp_path):
    reference = profile(table(tmp_path / "a.parquet", 1))
    report = compare(table(tmp_path / "b.parquet", 2), reference, twins(tmp_path, 3, noise=QUIET, unstable=0.05))
    assert report.noise.retraining == "twins"
    limits = {t.name: t for t in report.thresholds}
    assert report.noise.factor == 1.0
    assert (limits["|word shift|"].limit, limits["rank agreement"].limit, limits["sign-flip rate"].limit) == (0.3, 0.8, 0.1)
    assert limits["|word shift|"].set_by == "calig's defaults, held against the measured noise"


def test_twins_that_differ_like_night_and_day_make_the_comparison_inconclusive(tmp_path):
    reference = profile(table(tmp_path / "a.parquet", 1))
    sources = NoiseSources(
        nulls=(
            NullProfiles(
                kind="twins",
                profiles=tuple(profile(table(tmp_path / f"{p}.parquet", 3, planted=p), str(p)) for p in (-20.0, 20.0)),
            ),
        )
    )
    candidate = table(tmp_path / "b.parquet", 2, planted=20.0)
    report = compare(candidate, reference, sources, UNCAPPED)
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert "noise alone" in report.reason
    assert report.next_step
    assert compare(candidate, reference, sources).verdict is CheckVerdict.FAIL, "by default they cannot raise the limits so far"


def test_measured_noise_raises_no_limit_beyond_the_cap_and_the_report_says_so(tmp_path):
    reference, sources = profile(table(tmp_path / "a.parquet", 1)), twins(tmp_path, 3, unstable=NOISY)
    candidate = table(tmp_path / "b.parquet", 2, planted=6.0)
    uncapped = compare(candidate, reference, sources, UNCAPPED)
    report = compare(candidate, reference, sources)
    assert report.noise.factor == 1.5
    assert report.noise.uncapped == uncapped.noise.factor > 1.5
    limits = {t.name: t for t in report.thresholds}
    assert limits["|word shift|"].limit == pytest.approx(0.45)
    assert limits["|z| of the word shift"].limit == pytest.approx(9)
    assert limits["rank agreement"].limit == pytest.approx(1 - 1.5 * 0.2)
    assert limits["sign-flip rate"].limit == pytest.approx(0.15)
    for name in ("|word shift|", "|z| of the word shift", "rank agreement"):
        assert "raised by no more than 1.5 (drift.noise_cap)" in limits[name].source
    assert f"{report.noise.uncapped:.2f} was measured" in limits["|word shift|"].source


def test_copies_of_the_reference_beside_one_bad_twin_do_not_hide_its_word(tmp_path):
    """One twin with the planted word and four copies of the reference with a little noise: the spread becomes large."""
    reference = profile(table(tmp_path / "a.parquet", 1))
    bad = profile(table(tmp_path / "bad.parquet", 3, planted=3.0, unstable=RETRAINED), "5")
    copies = [profile(table(tmp_path / f"copy-{i}.parquet", 1, noise=0.052 + 0.002 * i), str(6 + i)) for i in range(4)]
    sources = NoiseSources(nulls=(NullProfiles(kind="twins", profiles=(bad, *copies)),))
    report = compare(table(tmp_path / "b.parquet", 2, planted=3.0, unstable=RETRAINED), reference, sources)
    assert report.verdict is CheckVerdict.FAIL
    assert [shift.word for shift in report.word_shifts if shift.fires] == ["btw"]
    assert report.noise.retraining == "prior"
    refused = [why for why in report.noise.skipped if "a near copy shows no noise" in why]
    assert [why.split(":")[0] for why in refused] == [f"version {n}" for n in (6, 7, 8, 9)]
    assert all("those of version 1" in why for why in refused)


@pytest.mark.parametrize("kind", ["twins", "history"])
def test_a_near_copy_of_another_is_left_out_and_the_others_count(tmp_path, kind):
    reference = profile(table(tmp_path / "a.parquet", 1))
    honest = twins(tmp_path, 4, kind, unstable=RETRAINED).nulls[0].profiles
    copy = profile(honest[1].tables[0], "99")
    sources = NoiseSources(nulls=(NullProfiles(kind=kind, profiles=(honest[0], honest[1], copy, *honest[2:])),))
    noise = compare(table(tmp_path / "b.parquet", 2), reference, sources).noise
    assert noise.retraining == kind
    assert not [pair for pair in noise.pairs if "99" in {pair.reference, pair.candidate}]
    assert any("version 99: its attributions are those of version 6" in why for why in noise.skipped)


def test_an_error_of_the_numbers_beyond_the_cap_is_inconclusive(tmp_path):
    rows = [row(i, words, [2.0, *[0.1] * (len(words) - 1)]) for i, words in enumerate(texts(8))]
    exact = write(tmp_path / "exact.parquet", rows)
    report = compare(table(tmp_path / "b.parquet", 2), profile(table(tmp_path / "a.parquet", 1)), NoiseSources(numerics=(exact,)))
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert "error of the numbers" in report.reason
    assert "float64" in report.next_step


def test_too_few_twins_are_named_and_the_history_is_asked(tmp_path):
    reference = profile(table(tmp_path / "a.parquet", 1))
    one, history = twins(tmp_path, 1, unstable=RETRAINED), twins(tmp_path, 4, "history", first=1, unstable=RETRAINED)
    report = compare(table(tmp_path / "b.parquet", 2), reference, NoiseSources(nulls=one.nulls + history.nulls))
    assert report.noise.retraining == "history"
    assert any("1 pairs of reseeded twins are too few" in why for why in report.noise.skipped)
    assert [(p.reference, p.candidate) for p in report.noise.pairs] == [("1", "2"), ("2", "3"), ("3", "4")]


def test_twins_explained_otherwise_are_left_out_with_the_reason(tmp_path):
    reference = profile(table(tmp_path / "a.parquet", 1))
    sources = twins(tmp_path, 3, unstable=RETRAINED)
    (null,) = sources.nulls
    other = null.profiles[0].model_copy(update={"dataset_digest": "other"})
    sources = NoiseSources(nulls=(null.model_copy(update={"profiles": (other, *null.profiles[1:])}),))
    report = compare(table(tmp_path / "b.parquet", 2), reference, sources)
    assert len(report.noise.pairs) == 3
    assert any("version 5" in why and "other rows" in why for why in report.noise.skipped)


def test_the_numbers_own_error_raises_the_limit_of_the_effect(tmp_path):
    reference, candidate = profile(table(tmp_path / "a.parquet", 1)), table(tmp_path / "b.parquet", 2)
    rows = [row(i, words, [2.0, *[0.1] * (len(words) - 1)]) for i, words in enumerate(texts(8))]
    exact = write(tmp_path / "exact.parquet", rows)
    report = compare(candidate, reference, NoiseSources(numerics=(exact,)), UNCAPPED)
    examples = list(Pairs(read_rows([candidate]), read_rows([exact]), LABELS))
    unit = np.median([e.differences[0] for e in examples])
    largest = max(np.abs(e.mass[1] * e.candidate - e.mass[0] * e.reference).max() / unit for e in examples)
    assert report.noise.numerics == pytest.approx(largest)
    assert report.noise.numerics_rows == 8
    limit = next(t for t in report.thresholds if t.name == "|word shift|")
    assert limit.limit == pytest.approx(2 * largest)
    assert "error of the numbers" in limit.source


def test_an_exact_run_that_agrees_changes_nothing(tmp_path):
    candidate = table(tmp_path / "b.parquet", 2)
    report = compare(candidate, profile(table(tmp_path / "a.parquet", 1)), NoiseSources(numerics=(candidate,)))
    assert report.noise.numerics == 0
    assert report.thresholds[0].limit == 0.3


def test_the_upper_limit_is_gumbels_99th_percentile_and_never_below_what_was_seen():
    values = [0.4, 0.5, 0.9]
    scale = np.std(values, ddof=1) * np.sqrt(6) / np.pi
    gumbel = stats.gumbel_r(loc=np.mean(values) - np.euler_gamma * scale, scale=scale)
    assert upper(values) == pytest.approx(gumbel.ppf(0.99), rel=1e-4)
    assert upper([0.5]) == 0.5
    assert upper([0.1] * 99 + [5.0]) == 5.0


def test_the_excess_needs_share_and_certainty_at_once():
    config = DriftConfig()
    assert excess(0.6, 9.0, config) == pytest.approx(1.5)
    assert excess(-0.03, 60.0, config) == pytest.approx(0.1)


def test_a_null_pair_by_the_same_statistics_as_a_candidate(tmp_path):
    a, b = (read_rows([table(tmp_path / f"{i}.parquet", i, planted=3.0 * i)]) for i in (0, 1))
    pair = null_pair("1", "2", match(a, b, LABELS, config=DriftConfig()).found, DriftConfig())
    assert pair.word == "btw"
    assert pair.n == 80
    assert pair.excess == pytest.approx(min(abs(pair.effect) / 0.3, abs(pair.z) / 6))


def test_the_comparison_is_the_same_every_time(tmp_path):
    reference, candidate = profile(table(tmp_path / "a.parquet", 1)), table(tmp_path / "b.parquet", 2, planted=4.0)
    sources = twins(tmp_path, unstable=RETRAINED)
    assert compare(candidate, reference, sources) == compare(candidate, reference, sources)
