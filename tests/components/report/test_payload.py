"""The rows inside the page: what is packed comes back within the stated precision, and what is left out is said."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components.drift.pairing import Pairs
from components.drift.statistics import agreement
from components.report import build
from components.report.choice import read_briefs
from components.report.drawing import heat
from components.report.page import script
from components.report.payload import CHUNK, Embedded, columns, embed, embedding
from components.report.payload.columns import Units, aligned_reason_change, quantised, read_references
from components.report.payload.packing import MAX_WORDS, Tokens, flow_of, packed_units, strongest
from schemas.config import PipelineConfig, ReportConfig
from tests.helpers import sample_records, sample_tables
from tests.helpers.explained import explained
from tests.helpers.html_page import Page
from tests.helpers.packed import row_of, unpack
from tests.helpers.sample_records import Sample


def _embedded(sample: Sample, **settings: float) -> Embedded:
    config = PipelineConfig(report=ReportConfig(**settings))  # type: ignore[call-arg, arg-type]
    record = sample.record.model_copy(update={"config": config})
    references = sample.reference_tables or []
    return embed(record, read_briefs(sample.tables, references, record.drift), sample.tables, references)


def _blocks(embedded: Embedded) -> dict[str, dict]:
    return {block.name: unpack(block.data) for block in embedded.blocks}


def _units(*spans: tuple[int, int, float]) -> Units:
    starts, ends, values = zip(*spans, strict=True)
    return Units(np.array(starts), np.array(ends), np.array(values))


# columns and steps


def test_columns_come_back_as_they_went_in() -> None:
    given_columns = {
        "a": np.array([1, -2, 3], np.int8),
        "b": np.array([], np.float32),
        "c": np.array([0.5, np.nan], np.float32),
        "d": np.array([70_000], np.uint32),
        "texts": ["</script>", "\u0639", "\U0001f3ac", ""],
    }
    found = unpack(columns.pack(given_columns))
    assert found.keys() == given_columns.keys()
    assert found["texts"] == given_columns["texts"]
    for name in "abcd":
        np.testing.assert_array_equal(found[name], given_columns[name])
        assert found[name].dtype == given_columns[name].dtype


@pytest.mark.parametrize(("dtype", "parts"), [(np.int16, 65_534), (np.int8, 254)])
@given(values=arrays.arrays(np.float64, st.integers(0, 20), elements=st.floats(-1e6, 1e6)))
def test_a_code_times_its_step_is_the_value_within_half_a_step(values: np.ndarray, dtype: type, parts: int) -> None:
    codes, step = quantised(values, dtype)
    largest = np.abs(values).max(initial=0.0)
    # the step itself is a float32: 6e-8 of the largest value more; sizes below 1e-38 are lost
    np.testing.assert_allclose(codes * float(step), values, rtol=0, atol=largest * (1 / parts + 1e-6) + 1e-37)


def test_each_row_has_its_own_step_and_what_is_not_finite_is_zero() -> None:
    codes, steps = quantised(np.array([[127.0, -1.0], [0.5, 0.25], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]]), np.int8)
    assert codes.tolist() == [[127, -1], [127, 64], [0, 0], [0, 0], [0, 0]]
    np.testing.assert_allclose(steps, [1.0, 0.5 / 127, 0, 0, 0], rtol=1e-6)


# words


def test_words_come_back_with_their_places_and_values(tmp_path: Path) -> None:
    sample = sample_records.drifted(tmp_path)
    blocks = _blocks(_embedded(sample))
    listed, units, texts = blocks["index"], blocks["units-0"], blocks["text-0"]["text"]
    table = {row["id"]: row for row in pq.read_table(sample.tables[0]).to_pylist()}
    for at in (0, 40, 159):
        row = table[listed["id"][at]]
        gaps, lengths = (row_of(units, f"candidate_{name}", units["candidate_n"], at).astype(int) for name in ("gaps", "lengths"))
        starts = np.cumsum(gaps + lengths) - lengths
        assert texts[at] == row["text"]
        assert [texts[at][a : a + n] for a, n in zip(starts, lengths, strict=True)] == [word["text"] for word in row["words"]]
        values = row_of(units, "candidate_codes", units["candidate_n"], at) * units["candidate_step"][at]
        expected = np.array([word["value"] for word in row["words"]])
        np.testing.assert_allclose(values, expected, rtol=0, atol=np.abs(expected).max() / 65_000)
        special = sum(row["values"]) - expected.sum()
        assert units["special"][at] == pytest.approx(special, abs=1e-6)


def test_a_word_that_overlaps_its_predecessor_keeps_what_is_left() -> None:
    packed = packed_units(_units((0, 4, 1.0), (2, 6, 1.0), (3, 5, 1.0), (8, 9, -1.0)))
    assert packed.gaps.tolist() == [0, 0, 0, 2]
    assert packed.lengths.tolist() == [4, 2, 0, 1]


# layers


def _tokens(n_words: int) -> tuple[Units, Tokens]:
    """Words of two tokens each between two special tokens; token t contributes t in layer 0 and −t in layer 1."""
    n = 2 * n_words + 2
    values = np.arange(n, dtype=float)
    starts = np.array([-1, *range(0, 4 * n_words, 2), -1])
    content = np.array([False, *[True] * (n - 2), False])
    words = [(4 * w, 4 * w + 4, values[2 * w + 1] + values[2 * w + 2]) for w in range(n_words)]
    return _units(*words), Tokens(starts, np.where(content, starts + 2, -1), content, np.stack([values, -values]), values / 10)


def test_flow_sums_tokens_into_words_by_hand() -> None:
    flow = flow_of(*_tokens(2), 2, all_units=False)
    assert flow.shown.tolist() == [0, 1]
    np.testing.assert_allclose(flow.cells, [[3, 7, 0, 5], [-3, -7, 0, -5]])  # two words, the rest, special tokens
    np.testing.assert_allclose(flow.attention, [0.3, 0.7, 0, 0.5])


def test_flow_columns_sum_to_their_totals_also_when_words_are_left_out() -> None:
    units, tokens = _tokens(MAX_WORDS + 10)
    flow = flow_of(units, tokens, len(units.values), all_units=False)
    assert flow.shown.tolist() == list(range(10, MAX_WORDS + 10))  # the strongest, in reading order
    np.testing.assert_allclose(flow.cells.sum(axis=1), tokens.layers.sum(axis=1))
    assert flow.cells[0, -2] == units.values[:10].sum()


def test_packed_layers_agree_with_the_table(tmp_path: Path) -> None:
    sample = sample_records.first_release(tmp_path)
    blocks = _blocks(_embedded(sample))
    layers, at = blocks["layers-0"], 7
    row = next(r for r in pq.read_table(sample.tables[0]).to_pylist() if r["id"] == blocks["index"]["id"][at])
    width, n_layers = layers["shown_n"].astype(int) + 2, layers["layers_n"].astype(int)
    cells = row_of(layers, "cells", width * n_layers, at).reshape(sample_tables.LAYERS, -1)
    cells = cells * row_of(layers, "steps", n_layers, at)[:, None]
    expected = np.array(row["layers"])[:, 1:-1]  # in these tables every token between the special ones is a word
    np.testing.assert_allclose(cells[:, :-2], expected, rtol=0, atol=np.abs(row["layers"]).max() / 250)
    totals = row_of(layers, "totals", n_layers, at)
    np.testing.assert_allclose(totals, row["f_input"] - row["f_baseline"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(row_of(layers, "residuals", n_layers, at), row["residuals"], rtol=1e-6)


def test_strongest_is_in_reading_order() -> None:
    assert strongest(np.array([0.1, -3.0, 2.0, -0.5]), 2).tolist() == [1, 2]


# drift of a row


def test_reason_change_is_the_one_that_drift_judges_by(tmp_path: Path) -> None:
    sample = sample_records.drifted(tmp_path)
    sides = [{r["id"]: r for r in pq.read_table(t[0]).to_pylist()[:-1]} for t in (sample.reference_tables, sample.tables)]
    expected = {e.id: agreement.reason_change(e) for e in Pairs(*sides, sample.record.model.labels)}
    listed = _blocks(_embedded(sample))["index"]
    found = dict(zip(listed["id"], listed["drift"], strict=False))
    assert len(expected) == 160
    assert sum(value > 0.2 for value in expected.values()) > 20
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=1e-6)


def test_reason_change_joins_words_that_were_cut_differently() -> None:
    whole, parts = _units((0, 6, 1.0), (7, 9, 1.0)), _units((0, 3, 2.0), (3, 6, 1.0), (7, 9, -1.0))
    assert aligned_reason_change(whole, parts, 1) == pytest.approx((abs(0.75 - 0.5) + abs(-0.25 - 0.5)) / 2)
    assert aligned_reason_change(parts, parts, -1) == pytest.approx(1.0)


def test_without_a_common_class_nothing_is_compared(tmp_path: Path) -> None:
    sample = sample_records.drifted(tmp_path)
    reference = read_references(sample.reference_tables or [], ["row-9"])["row-9"]
    labels = sample.record.model.labels
    other = next(name for name in labels if name != reference.explained["target"])
    assert np.isnan(reference.drift(explained(other, labels, "logit"), reference.units))
    assert reference.drift(explained(other, labels), reference.units) == pytest.approx(1.0)
    turned = reference.toward(explained(other, labels))
    assert turned.explained["target"] == other
    np.testing.assert_array_equal(turned.units.values, -reference.units.values)


# the list


def test_the_index_says_what_the_table_says(tmp_path: Path) -> None:
    sample = sample_records.drifted(tmp_path)
    listed = _blocks(_embedded(sample))["index"]
    table = {row["id"]: row for row in pq.read_table(sample.tables[0]).to_pylist()}
    assert sorted(listed["id"]) == sorted(table)
    assert listed["problem"] == ["the text is empty"]
    assert listed["flags"][-1] == embedding.PROBLEM
    for at, key in enumerate(listed["id"][:-1]):
        row = table[key]
        assert listed["classes"][listed["predicted"][at]] == row["predicted"]
        assert bool(listed["flags"][at] & embedding.WRONG) == (row["label"] != row["predicted"])
        assert bool(listed["flags"][at] & embedding.UNCONVERGED) == (not row["converged"])
        assert listed["segment_values_0"][listed["segment_0"][at]] == dict(row["segments"])["source"]
        assert listed["residual"][at] == pytest.approx(max(row["residuals"]), rel=1e-6)
    assert sum(int(flags) & embedding.CHANGED > 0 for flags in listed["flags"]) == sample.record.drift.flipped


def test_margins_are_the_largest_logit_less_the_second() -> None:
    assert embedding.margin(np.array([1.0, -2.0, 4.5])) == 3.5
    assert np.isnan(embedding.margin(np.array([1.0])))


# what is left out


def test_rows_beyond_the_number_are_left_out_those_most_worth_a_look_stay(tmp_path: Path) -> None:
    sample = sample_records.drifted(tmp_path)
    embedded = _embedded(sample, rows=10)
    assert (embedded.n_rows, embedded.n_layers) == (10, 10)
    worst = [example.id for example in sample.record.drift.worst]
    assert 0 < len(worst) < 10
    assert _blocks(embedded)["index"]["id"][: len(worst)] == worst


def test_layers_are_left_out_before_rows(tmp_path: Path) -> None:
    sample = sample_records.first_release(tmp_path, n=3 * CHUNK)
    sizes = {block.name: len(block.data) for block in _embedded(sample).blocks}
    words = sum(size for name, size in sizes.items() if not name.startswith(("layers", "index")))
    some = _embedded(sample, megabytes=(words + 1.5 * sizes["layers-0"]) / 1e6)
    assert (some.n_rows, some.n_layers) == (3 * CHUNK, CHUNK)
    fewer = _embedded(sample, megabytes=words / 2e6)
    assert (fewer.n_rows, fewer.n_layers) == (CHUNK, 0)
    assert _embedded(sample, megabytes=0).blocks == ()


def test_the_page_says_what_it_leaves_out(tmp_path: Path) -> None:
    sample = sample_records.drifted(tmp_path)
    config = PipelineConfig(report=ReportConfig(rows=20))  # type: ignore[call-arg]
    limited = sample.with_record(config=config)
    build(limited.record, limited.tables, limited.reference_tables, path=tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.blocks.keys() == {"index", "text-0", "units-0", "layers-0"}
    assert "20 of 160 explained rows are in this page: more would exceed report.rows (20)" in " ".join(page.source.split())


def test_pictures_are_carried_as_small_jpegs(tmp_path: Path) -> None:
    sample = sample_records.pictures(tmp_path)
    (tmp_path / "picture-2.png").unlink()
    blocks = _blocks(_embedded(sample))
    sizes = dict(zip(blocks["index"]["id"], blocks["pictures-0"]["size"], strict=False))
    assert sizes["row-2"] == 0
    assert all(0 < size < 12_000 for key, size in sizes.items() if key != "row-2")
    assert blocks["units-0"]["grid"].tolist() == [14, 14] * 8
    assert blocks["units-0"]["candidate_n"].tolist() == [196] * 8


def test_scripts_and_python_agree_on_bits_levels_and_colours() -> None:
    source = str(script())
    found = dict(re.findall(r"([A-Z_]+) = ([0-9]+)[,;]", source))
    bits = {name: str(getattr(embedding, name)) for name in ("WRONG", "CHANGED", "UNCONVERGED", "REASONS", "PROBLEM")}
    assert found.items() >= (bits | {"LEVELS": str(heat.LEVELS), "MOST_OPAQUE": str(heat.MAX_ALPHA)}).items()
    assert f"SUPPORTS = {list(heat.SUPPORTS)}, OPPOSES = {list(heat.OPPOSES)}" in source
