"""Which rows are paired: coverage, rows without attribution, ids that occur twice, and two tokenizers of one text."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from components import attribution, drift, registry
from components.common.errors import InputError
from components.drift.pairing import Pairs
from components.table.rows import check_tables, read_rows
from schemas.base import CheckVerdict
from schemas.config import AttributionConfig, PipelineConfig
from schemas.release import Example
from tests.helpers.drift_tables import LABELS, profile, row, table, texts, write
from tests.helpers.explained import margin as of_margin
from tests.helpers.tiny_models import save_tiny_bert, save_tiny_tokenizer
from tests.helpers.tokenizers import save_byte_level_tokenizer

TEXTS = ["A warm, FUNNY film!", "The story is not so good; the Actor was unwatchable.", "btw it’s naïve", "dull  dull\tDULL"]


def compare(candidate, reference, **config):
    settings = PipelineConfig(drift={"min_rows": 30, **config})
    ours = {"method_fingerprint": "f", "dataset_digest": "d", "labels": LABELS}
    return drift.compare([candidate], reference, config=settings, decided_on="2026-01-01", **ours)


def rows_of(n, values=None):
    return [row(i, words, values or list(np.linspace(-1, 1, len(words)))) for i, words in enumerate(texts(n))]


def test_missing_rows_are_counted_and_gated(tmp_path):
    reference = profile(write(tmp_path / "a.parquet", rows_of(80)))
    most = write(tmp_path / "b.parquet", rows_of(80)[5:])
    few = write(tmp_path / "c.parquet", rows_of(80)[30:])
    report = compare(most, reference)
    assert report.verdict is CheckVerdict.PASS
    assert (report.coverage.n_compared, report.coverage.only_reference) == (75, 5)
    assert report.coverage.share == pytest.approx(75 / 80)
    short = compare(few, reference)
    assert short.verdict is CheckVerdict.INCONCLUSIVE
    assert short.coverage.share == pytest.approx(50 / 80)
    assert "30 explained by the reference alone" in short.reason
    assert compare(few, reference, min_coverage=0.5).verdict is CheckVerdict.PASS


def test_rows_without_any_attribution_are_counted_and_left_out(tmp_path):
    reference = profile(write(tmp_path / "a.parquet", rows_of(80)))
    silent = [row(i, words, [0.0] * len(words)) for i, words in enumerate(texts(80))]
    report = compare(write(tmp_path / "b.parquet", silent[:4] + rows_of(80)[4:]), reference)
    assert report.coverage.zero == 4
    assert report.n_paired == 76
    assert {s.value for s in report.statistics if s.name == "rank agreement"} == {1.0}
    dead = compare(write(tmp_path / "c.parquet", silent), reference)
    assert dead.verdict is CheckVerdict.INCONCLUSIVE
    assert "80 without any finite attribution" in dead.reason


def test_ids_that_occur_twice_are_refused(tmp_path):
    path = write(tmp_path / "a.parquet", [*rows_of(40), *rows_of(1)])
    with pytest.raises(InputError, match="not unique"):
        check_tables([path])
    report = compare(table(tmp_path / "b.parquet", 1), profile(path))
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert "not unique" in report.reason


def test_a_table_of_another_version_is_refused(tmp_path):
    rows = pq.read_table(table(tmp_path / "a.parquet", 1))
    pq.write_table(rows.replace_schema_metadata({"calig.table_version": "1"}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="another version"):
        check_tables([tmp_path / "a.parquet"])
    (tmp_path / "b.parquet").write_bytes(b"no table")
    with pytest.raises(InputError, match="cannot be read"):
        check_tables([tmp_path / "b.parquet"])


def explained(folder, save_tokenizer, seed):
    """Rows of the table that the model in `folder` with another tokenizer gives."""
    save_tiny_bert(folder, seed)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    save_tokenizer(folder)
    snapshot = registry.fetch(registry.parse_model_ref(str(folder)), workspace=folder / "w")
    examples = [Example(row=i, id=str(i), text=text, segments={}) for i, text in enumerate(TEXTS)]
    path = folder / "table.parquet"
    attribution.explain_shard(snapshot, examples, AttributionConfig(n_points=4), index=0, path=path)
    return read_rows([path])


@pytest.mark.parametrize("other", ["cased", "byte-level BPE"])
def test_two_tokenizers_of_one_text_meet_at_its_words(tmp_path, other):
    save = {"cased": lambda folder: save_tiny_tokenizer(folder, lowercase=False), "byte-level BPE": save_byte_level_tokenizer}
    uncased = explained(tmp_path / "a", save_tiny_tokenizer, 0)
    theirs = explained(tmp_path / "b", save[other], 1)
    assert [len(r["tokens"]) for r in uncased.values()] != [len(r["tokens"]) for r in theirs.values()]
    pairs = Pairs(uncased, theirs, LABELS)
    examples = list(pairs)
    assert pairs.coverage.share == 1.0
    for example, text in zip(examples, TEXTS, strict=True):
        assert [name for name, _ in example.units] == [text[start:end] for _, (start, end) in example.units]
        assert "".join(name for name, _ in example.units) == "".join(text.split())
        for side, rows in ((example.reference, uncased), (example.candidate, theirs)):
            source = rows[example.id]
            sign = 1 if source["target"] == "POS" else -1
            words = np.array([w["value"] for w in source["words"]])
            assert side.sum() == pytest.approx(sign * words.sum() / example.mass[0 if rows is uncased else 1], abs=1e-5)
    words = [[name for name, _ in e.units] for e in examples]
    assert words[0] == ["A", "warm", ",", "FUNNY", "film", "!"]
    assert words[3] == ["dull", "dull", "DULL"]


def test_layers_are_summed_into_the_same_units(tmp_path):
    rows = explained(tmp_path / "a", save_byte_level_tokenizer, 0)
    for example in Pairs(rows, rows, LABELS):
        source = rows[example.id]
        sign = 1 if source["target"] == "POS" else -1
        words = sign * _by_word(source)
        np.testing.assert_allclose(example.layers[0], words / np.abs(words).sum(1, keepdims=True), atol=1e-6)


def _by_word(source):
    """Layer values summed into words by brute force: a token counts for the word that holds its last character."""
    layers, words = np.array(source["layers"]), source["words"]
    sums = np.zeros((len(layers), len(words)))
    for token, (end, content) in enumerate(zip(source["ends"], source["content"], strict=True)):
        for index, word in enumerate(words):
            if content and word["start"] < end <= word["end"]:
                sums[:, index] += layers[:, token]
    return sums


@pytest.mark.parametrize("predicted", LABELS)
def test_the_margin_of_a_binary_model_counts_toward_its_first_class(predicted):
    """POS − NEG supports POS and NEG − POS supports NEG: a word that speaks for POS has one sign in all rows."""
    words, toward_pos = ["plot", "bright", "dull"], [0.1, 0.6, -0.3]
    other = LABELS[predicted == LABELS[0]]
    values = [value if predicted == "POS" else -value for value in toward_pos]
    explained = row(0, words, values, predicted) | of_margin(predicted, other, LABELS)
    (example,) = Pairs({"0": explained}, {"0": explained}, LABELS)
    assert example.toward == "POS"
    assert example.reference == pytest.approx(toward_pos)
    assert example.layers[0] == pytest.approx(np.array([toward_pos] * 2))


def test_a_planted_word_is_found_by_margins_too(tmp_path):
    """Half of the rows are predicted NEG: turned the wrong way, their margins would cancel those of the other half."""
    negative = range(0, 80, 8)

    def margins(path, planted):
        rows = pq.read_table(table(path, 1, planted=planted)).to_pylist()
        for line in rows:
            sign, names = (-1, LABELS) if line["row"] in negative else (1, LABELS[::-1])
            line |= {"predicted": names[0], **of_margin(*names, LABELS), "values": [sign * v for v in line["values"]]}
            line["words"] = [{**word, "value": sign * word["value"]} for word in line["words"]]
        return write(path, rows)

    report = compare(margins(tmp_path / "b.parquet", 6.0), profile(margins(tmp_path / "a.parquet", 0.0)))
    shift = report.word_shifts[0]
    assert (report.verdict, shift.word, shift.toward) == (CheckVerdict.FAIL, "btw", "POS")
    assert shift.shift > 0.5


@pytest.mark.parametrize("side", ["reference", "candidate"])
@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_row_that_is_not_finite_is_left_out_and_counted(tmp_path, side, broken):
    """One NaN among the p-values makes every q-value NaN (statsmodels#2899): nothing would fire, or the comparison breaks."""
    odd = rows_of(80)
    odd[3]["words"][0]["value"] = broken
    tables = {"reference": rows_of(80), "candidate": rows_of(80), side: odd}
    reference = profile(write(tmp_path / "a.parquet", tables["reference"]))
    report = compare(write(tmp_path / "b.parquet", tables["candidate"]), reference)
    assert (report.verdict, report.n_paired, report.coverage.zero) == (CheckVerdict.PASS, 79, 1)
    assert {s.value for s in report.statistics if s.name == "rank agreement"} == {1.0}


def test_nothing_tested_is_no_pass(tmp_path):
    reference = profile(write(tmp_path / "a.parquet", rows_of(80)))
    report = compare(write(tmp_path / "b.parquet", rows_of(80)), reference, min_occurrences=1000)
    assert report.verdict is CheckVerdict.INCONCLUSIVE
    assert report.reason == "no word occurs in 1000 of the compared rows: nothing could be tested"
