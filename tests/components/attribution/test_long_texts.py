"""Texts beyond the model's limit in windows: attributed, scored, falsified and estimated as the mean of their windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from calig.engine import FORMULA_VERSION
from calig.metrics.perturbation import PerturbedDocument, PerturbedText
from calig.windows import split
from components.attribution import check_ready, choose_perturbation, estimate, explain_shard, falsify, method_fingerprint
from components.attribution.running import load_classifier
from components.common.errors import InputError
from components.quality import sample_inputs
from components.quality.scores.table import Row, explained_function, source_of
from components.scoring import open_scorer
from components.table.reader import iter_rows
from schemas.base import digest_of
from schemas.config import AttributionConfig, QualityConfig
from schemas.release import Example, ModelSnapshot
from tests.helpers.judged import evaluate
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import WORDS, save_tiny_bert

LABELS = ("sport", "trade", "court", "crops")
LIMIT, OVERLAP = 16, 0.25
#: No word of these texts falls apart: a word is a token.
CUT = AttributionConfig(device="cpu", max_length=LIMIT, batch_tokens=64)
WINDOWS = CUT.model_copy(update={"long_texts": "windows", "window_overlap": OVERLAP})


def texts(*lengths: int, seed: int = 0) -> list[Example]:
    random = np.random.default_rng(seed)
    return [Example(row=i, id=f"r{i}", text=" ".join(random.choice(WORDS, size=n))) for i, n in enumerate(lengths)]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> ModelSnapshot:
    return snapshot_of(save_tiny_bert(tmp_path_factory.mktemp("bert"), labels=LABELS))


def explained(snapshot: ModelSnapshot, examples: list[Example], folder: Path, config: AttributionConfig) -> list[dict[str, Any]]:
    told: list[int] = []
    explain_shard(snapshot, examples, config, index=0, path=folder / f"{config.long_texts}.parquet", progress=told.append)
    assert sum(told) == len(examples)
    return pq.read_table(folder / f"{config.long_texts}.parquet").to_pylist()


def test_a_text_that_fits_is_explained_exactly_as_it_was(snapshot, tmp_path):
    examples = texts(6, 14, 40, 9)
    cut, windowed = (explained(snapshot, examples, tmp_path, config) for config in (CUT, WINDOWS))
    for i in (0, 1, 3):
        assert cut[i] == windowed[i]
        assert windowed[i]["windows"] is None
    assert (cut[2]["coverage"], cut[2]["windows"]) == (14 / 40, None)
    assert windowed[2]["coverage"] == 1.0
    assert [(w["start"], w["end"]) for w in windowed[2]["windows"]] == [(1, 15), (12, 26), (23, 37), (34, 41)]
    assert len(windowed[2]["values"]) == len(windowed[2]["tokens"]) == 42
    assert [w["text"] for w in windowed[2]["words"]] == examples[2].text.split()


def literal_logits(snapshot: ModelSnapshot, text: str, removed: set[int]) -> np.ndarray:
    """Slow and simple: every window's ids by hand, the model itself on each, the mean. `removed`: places of words."""
    tokenizer = AutoTokenizer.from_pretrained(snapshot.model_path)
    model = AutoModelForSequenceClassification.from_pretrained(snapshot.model_path).double().eval()
    words = ["[MASK]" if i in removed else word for i, word in enumerate(text.split())]
    room = LIMIT - 2
    step, begin, found = room - int(OVERLAP * room), 0, []
    while True:
        ids = tokenizer.convert_tokens_to_ids(["[CLS]", *words[begin : begin + room], "[SEP]"])
        with torch.no_grad():
            found.append(model(torch.tensor([ids])).logits[0].numpy())
        if begin + room >= len(words):
            return np.mean(found, axis=0)
        begin += step


def test_the_row_is_complete_toward_the_mean_of_the_windows(snapshot, tmp_path):
    examples = texts(40, 29)
    for example, row in zip(examples, explained(snapshot, examples, tmp_path, WINDOWS), strict=True):
        logits = literal_logits(snapshot, example.text, set())
        np.testing.assert_allclose(row["logits"], logits, atol=1e-5)  # float32 against float64
        assert row["predicted"] == row["target"] == LABELS[int(logits.argmax())]
        weights = np.array([weight for _, weight in row["target_weights"]])
        assert row["f_input"] == pytest.approx(weights @ logits, abs=1e-5)
        nothing = literal_logits(snapshot, example.text, set(range(len(example.text.split()))))
        assert row["f_baseline"] == pytest.approx(weights @ nothing, abs=1e-5)
        assert sum(row["values"]) == pytest.approx(row["f_input"] - row["f_baseline"], abs=2e-3)
        assert row["converged"]


def test_removals_are_scored_on_the_same_windows_with_the_same_mean(snapshot, tmp_path):
    examples = texts(40, 6)
    f_input = [row["f_input"] for row in explained(snapshot, examples, tmp_path, WINDOWS)]
    table = [tmp_path / "windows.parquet"]
    perturbation = choose_perturbation(snapshot, WINDOWS, "auto")
    inputs = sample_inputs(table, limit=8, perturbation=perturbation)
    assert [len(item.input_ids) for item in inputs] == [16, 9, 8], "first and last window, and the short text"
    scorer, record = open_scorer(snapshot, runtime="onnxruntime", workspace=tmp_path, parity_inputs=inputs)
    assert record.parity_rows == 3
    random = np.random.default_rng(0)
    for example, row in zip(examples, iter_rows(table, Row), strict=True):
        source = source_of(row, perturbation)
        masks = random.random((4, source.n_content)) < 0.5
        expected = np.stack([literal_logits(snapshot, example.text, set(np.flatnonzero(mask))) for mask in masks])
        found = scorer.logits([source.without(mask) for mask in masks])
        np.testing.assert_allclose(found, expected, atol=1e-4)
        odds = np.exp(expected - expected.max(1, keepdims=True))
        np.testing.assert_allclose(scorer([source.without(m) for m in masks]), odds / odds.sum(1, keepdims=True), atol=1e-4)
        whole = scorer.logits([source.without(np.zeros(source.n_content, dtype=bool))])
        assert explained_function(row, LABELS)(whole)[0] == pytest.approx(f_input[row["row"]], abs=1e-4)


def test_pairs_are_scored_in_the_same_windows(snapshot, tmp_path):
    """By hand: the ids of every window, the shorter text whole in each with its own token types, and the mean of the logits."""
    random = np.random.default_rng(1)
    first, second = ([str(word) for word in random.choice(WORDS, size=n)] for n in (19, 3))
    example = Example(row=0, id="p", text=" ".join(first), text_pair=" ".join(second))
    (row,) = explained(snapshot, [example], tmp_path, WINDOWS)
    assert [(w["start"], w["end"]) for w in row["windows"]] == [(1, 11), (9, 19), (17, 20)]
    assert row["coverage"] == 1.0
    tokenizer = AutoTokenizer.from_pretrained(snapshot.model_path)
    model = AutoModelForSequenceClassification.from_pretrained(snapshot.model_path).double().eval()

    def by_hand(removed: set[int]) -> np.ndarray:
        left = ["[MASK]" if i in removed else word for i, word in enumerate([*first, *second])]
        found = []
        for begin, end in ((0, 10), (8, 18), (16, 19)):
            tokens = ["[CLS]", *left[begin:end], "[SEP]", *left[19:], "[SEP]"]
            types = [0] * (end - begin + 2) + [1] * 4
            ids = torch.tensor([tokenizer.convert_tokens_to_ids(tokens)])
            with torch.no_grad():
                found.append(model(ids, token_type_ids=torch.tensor([types])).logits[0].numpy())
        return np.mean(found, axis=0)

    np.testing.assert_allclose(row["logits"], by_hand(set()), atol=1e-5)
    perturbation = choose_perturbation(snapshot, WINDOWS, "auto")
    inputs = sample_inputs([tmp_path / "windows.parquet"], limit=8, perturbation=perturbation)
    scorer, _ = open_scorer(snapshot, runtime="onnxruntime", workspace=tmp_path, parity_inputs=inputs)
    source = source_of(next(iter_rows([tmp_path / "windows.parquet"], Row)), perturbation)
    masks = random.random((4, source.n_content)) < 0.5
    expected = np.stack([by_hand(set(np.flatnonzero(mask))) for mask in masks])
    np.testing.assert_allclose(scorer.logits([source.without(mask) for mask in masks]), expected, atol=1e-4)


def test_both_texts_long_is_the_problem_of_the_row(snapshot, tmp_path):
    example = Example(row=0, id="p", text=texts(30)[0].text, text_pair=texts(20, seed=1)[0].text)
    (row,) = explained(snapshot, [example], tmp_path, WINDOWS)
    assert row["problem"].startswith("both texts of the pair are too long for windows")


def test_quality_is_measured_on_whole_documents(snapshot, tmp_path):
    examples = texts(*(20 + i for i in range(32)))
    explained(snapshot, examples, tmp_path, WINDOWS)
    table, quality = [tmp_path / "windows.parquet"], QualityConfig(bootstrap_draws=100, falsification_rows=2, sensitivity_draws=2)
    told: list[int] = []
    attempt = falsify(snapshot, examples, table, settings=WINDOWS, quality=quality, progress=told.append)
    assert sum(told) == 2 * (1 + 2 + 4), "each document once, two nudges, and without the weights of four stages"
    assert all(row.max_sensitivity > 0 for row in attempt.rows)
    for kind in ("auto", "delete"):
        perturbation = choose_perturbation(snapshot, WINDOWS, kind)
        inputs = sample_inputs(table, limit=4, perturbation=perturbation)
        scorer, record = open_scorer(snapshot, runtime="torch", workspace=tmp_path, parity_inputs=inputs)
        common = {"labels": LABELS, "scorer": scorer, "scorer_record": record, "config": quality}
        report = evaluate(table, perturbation=perturbation, falsification=attempt, **common)
        values = {metric.name: metric.value for metric in report.metrics}
        assert (values["coverage"], values["truncated share"]) == (1.0, 0.0)
        assert values["comprehensiveness"] > values["sufficiency"]
        assert not any("same model" in warning for warning in report.warnings), report.warnings


@pytest.mark.slow
def test_ten_thousand_tokens_pass_in_batches_of_the_same_size(snapshot, tmp_path):
    """The engine's passes and the scorer's: their size follows from the budget, not from the document."""
    largest = []
    for n in (1_000, 10_000):
        folder, sizes = tmp_path / str(n), []
        config = AttributionConfig(device="cpu", long_texts="windows", window_overlap=0.1, batch_tokens=512, n_points=2)
        model, _ = load_classifier(snapshot.model_path, snapshot.processor_path, config.dtype, config.device)
        hooks = [
            layer.register_forward_pre_hook(lambda _, given, sizes=sizes: sizes.append(given[0].shape[0] * given[0].shape[1]))
            for layer in model.bert.encoder.layer
        ]
        try:
            (row,) = explained(snapshot, texts(n), folder, config)
        finally:
            for hook in hooks:
                hook.remove()
        assert len(row["values"]) == n + 2
        assert row["coverage"] == 1.0
        assert np.count_nonzero(row["values"]) >= n, "every word has a value of its own"
        largest.append((max(sizes), _largest_scored(folder / "windows.parquet", snapshot, config)))
    assert largest[1] == largest[0]
    assert max(largest[0]) <= 512


def _largest_scored(table: Path, snapshot: ModelSnapshot, config: AttributionConfig) -> int:
    """Most tokens of one batch when halves of the document are removed."""
    from components.scoring import TokenScorer
    from components.scoring.batches import TextCollator

    perturbation = choose_perturbation(snapshot, config, "auto")
    (row,) = iter_rows([table], Row)
    source = source_of(row, perturbation)
    sizes: list[int] = []

    def run(arrays: dict[str, np.ndarray]) -> np.ndarray:
        sizes.append(arrays["input_ids"].size)
        return np.zeros((len(arrays["input_ids"]), len(LABELS)))

    halves = [source.without(np.arange(source.n_content) % 2 == half) for half in (0, 1, 0, 1)]
    assert all(isinstance(item, PerturbedDocument) for item in halves)
    TokenScorer(run, TextCollator(), n_classes=len(LABELS), batch_tokens=256).logits(halves)
    return max(sizes)


def test_the_mean_of_a_document_by_hand():
    """Three tokens in two windows of two: logits are counts of ids, so that the mean can be written down."""
    from calig.metrics.perturbation import TextSource
    from components.scoring import TokenScorer
    from components.scoring.batches import TextCollator

    source = TextSource(
        np.array([90, 1, 2, 3, 91]), np.array([False, True, True, True, False]), replacement_id=50, windows=((1, 3), (2, 4))
    )
    whole, without_second = source.without(np.zeros(3, dtype=bool)), source.without(np.array([False, True, False]))
    assert [whole.window(i).input_ids.tolist() for i in (0, 1)] == [[90, 1, 2, 91], [90, 2, 3, 91]]
    assert [without_second.window(i).input_ids.tolist() for i in (0, 1)] == [[90, 1, 50, 91], [90, 50, 3, 91]]
    assert without_second.window(1).original_ids.tolist() == [90, 2, 3, 91]
    sums = TokenScorer(lambda a: np.stack([a["input_ids"].sum(1), a["input_ids"][:, 1]], 1), TextCollator(), n_classes=2)
    alone = PerturbedText(np.array([5, 7]))
    expected = [[(184 + 186) / 2, (1 + 2) / 2], [12, 7], [(232 + 234) / 2, (1 + 50) / 2]]
    np.testing.assert_array_equal(sums.logits([whole, alone, without_second]), expected)
    assert sums.logits([]).shape == (0, 2)


def test_a_document_that_the_model_breaks_on_stops_nobody(snapshot, tmp_path, monkeypatch):
    """One word makes a window's logits infinite: the document has a problem, however many windows it has."""
    model, tokenizer = load_classifier(snapshot.model_path, snapshot.processor_path, WINDOWS.dtype, WINDOWS.device)
    marked, forward = tokenizer.convert_tokens_to_ids("btw"), model.forward

    def broken(**given):
        output = forward(**given)
        output.logits[torch.tensor([marked in row for row in given["input_ids"].tolist()])] = torch.inf
        return output

    monkeypatch.setattr(model, "forward", broken)
    long = [" ".join(WORDS[i : i + 30]) for i in range(3)]
    written = [*long, f"{long[0]} btw {long[1]}", "a film"]
    rows = explained(snapshot, [Example(row=i, id=str(i), text=text) for i, text in enumerate(written)], tmp_path, WINDOWS)
    assert [row["problem"] for row in rows] == [None, None, None, "the model's own logits are NaN or infinite", None]
    assert all(row["values"] for i, row in enumerate(rows) if i != 3)


def test_the_method_s_identity(snapshot):
    """Without windows it is what it was before there was the setting; with them their overlap belongs to it."""
    other_overlap = {"window_overlap": 0.5}
    assert method_fingerprint(CUT) == method_fingerprint(CUT.model_copy(update=other_overlap))
    unknown = {"device", "batch_tokens", "shard_rows", "calibration_rows", "long_texts", "window_overlap", "explain"}
    before = digest_of({"formula": FORMULA_VERSION, "settings": digest_of(CUT.model_dump(mode="json", exclude=unknown))})
    assert method_fingerprint(CUT) == before
    assert len({method_fingerprint(c) for c in (CUT, WINDOWS, WINDOWS.model_copy(update=other_overlap))}) == 3


@pytest.mark.parametrize(("target", "refused"), [("predicted", True), ("trade", True), ("margin", False)])
def test_log_odds_of_several_classes_have_no_mean_of_logits(snapshot, target, refused):
    config = WINDOWS.model_copy(update={"objective": "log_odds", "target": target})
    if not refused:
        check_ready(snapshot, texts(40), config)
        return
    with pytest.raises(InputError, match="cannot be averaged over windows"):
        check_ready(snapshot, texts(40), config)
    check_ready(snapshot, texts(40), config.model_copy(update={"long_texts": "truncate"}))


def test_the_estimate_counts_every_window(snapshot):
    document = split(
        texts(40)[0].text,
        load_classifier(snapshot.model_path, snapshot.model_path, "float32", "cpu")[1],
        limit=LIMIT,
        overlap=OVERLAP,
    )
    assert document.n_positions == 16 * 3 + 9
    found = estimate(snapshot, texts(40, 6, 300), WINDOWS.model_copy(update={"n_points": 2}))
    assert found.seconds > 0
