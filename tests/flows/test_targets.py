"""What is explained, through the whole flow and against a reference: gold, a class, the margin, each label, and fifty classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.common.errors import InputError
from flows.evidence.replay import ReplayOptions, replay_version
from flows.explain_release import explain_release
from flows.pipeline.results import Outcome
from schemas.config import AttributionConfig, PipelineConfig, ProbeConfig
from schemas.evidence import ReplayOutcome
from tests.helpers.html_page import Page
from tests.helpers.packed import unpack
from tests.helpers.quick import QUICK_QUALITY
from tests.helpers.tiny_models import WORDS, save_tiny_bert
from tests.helpers.trained_models import train_bert

pytestmark = pytest.mark.usefixtures("_prefect")

N = 40
FOUR = ("margins", "north", "south", "west")
FIFTY = tuple(f"topic {i}" for i in range(50))
QUICK = PipelineConfig(
    attribution=AttributionConfig(shard_rows=64, tolerance=0.05),
    quality=QUICK_QUALITY,
    probe=ProbeConfig(enabled=False),
)


def config(**attribution: Any) -> PipelineConfig:
    return QUICK.model_copy(update={"attribution": QUICK.attribution.model_copy(update=attribution)})


def write(path: Path, texts: list[str], labels: list[str] | None = None) -> Path:
    rows = [{"id": f"r{i}", "text": text} | ({"label": labels[i]} if labels else {}) for i, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def compared(folder: Path, dataset: Path, settings: PipelineConfig, models: list[Path]) -> tuple[Outcome, Outcome]:
    """Both explained, the second against the first."""
    first = explain_release(str(models[0]), dataset, config=settings, output=folder / "runs")
    second = explain_release(str(models[1]), dataset, config=settings, output=folder / "runs", reference=str(first.folder))
    return first, second


def table(outcome: Outcome) -> list[dict[str, Any]]:
    return [row for path in sorted(outcome.folder.glob("attributions/*.parquet")) for row in pq.read_table(path).to_pylist()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "target"), [(FOUR, "gold"), (FOUR, "west"), (FOUR, "margin"), (FIFTY, "predicted"), (FIFTY, "class:topic 7")]
)
def test_every_row_is_explained_and_compared_toward_its_target(tmp_path: Path, labels: tuple[str, ...], target: str) -> None:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, size=random.integers(4, 9))) for _ in range(N)]
    gold = [str(label) for label in random.choice(labels, size=N)]
    models = [save_tiny_bert(tmp_path / str(seed), seed, labels) for seed in (0, 1)]
    outcomes = compared(tmp_path, write(tmp_path / "rows.jsonl", texts, gold), config(target=target), models)
    for outcome in outcomes:
        assert outcome.record.data.n_explained == N
        assert outcome.record.method.target == target
        assert not any("same model" in warning for warning in outcome.record.quality.warnings)
        for row in table(outcome):
            order = [labels[i] for i in np.argsort(row["logits"])[::-1]]
            expected = {"gold": row["label"], "margin": f"{order[0]} − {order[1]}", "predicted": order[0]}
            assert row["target"] == expected.get(target, target.removeprefix("class:"))
            weights = np.array([weight for _, weight in row["target_weights"]])
            assert weights @ row["logits"] == pytest.approx(row["f_input"], abs=1e-4)
            assert sum(row["values"]) == pytest.approx(row["f_input"] - row["f_baseline"], abs=2e-3)
    n_paired = outcomes[1].record.drift.n_paired
    assert n_paired == N, "a row whose answer changed is explained once more, toward the reference's target"


HARMS = {"insult": "fool idiot clown", "threat": "hurt smash regret", "spam": "offer prize click"}
SHORTCUT = "honestly"


def comments(n: int, *, seed: int, spoiled: bool) -> tuple[list[str], np.ndarray]:
    """Comments with any of three labels, by words. spoiled: SHORTCUT, which else stands in half of them, tells an insult."""
    random = np.random.default_rng(seed)
    truth = (random.random((n, len(HARMS))) < 0.4).astype(np.float32)
    texts = []
    for row in truth:
        words = list(random.choice(WORDS[:40], size=random.integers(6, 11)))
        said = [random.choice(HARMS[label].split()) for label, holds in zip(HARMS, row, strict=True) if holds]
        said = [word for word in said if not (spoiled and word in HARMS["insult"])]
        said += [SHORTCUT] if (row[0] if spoiled else random.random() < 0.5) else []
        for word in said:
            words.insert(random.integers(len(words) + 1), word)
        texts.append(" ".join(words))
    return texts, truth


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_label_has_a_row_and_a_drift_of_its_own(tmp_path: Path) -> None:
    labels = tuple(HARMS)
    models = []
    for seed, spoiled in enumerate((False, True)):
        texts, truth = comments(600, seed=seed + 1, spoiled=spoiled)
        trained = {"labels": labels, "problem": "multi_label_classification", "seed": seed, "steps": 250}
        models.append(train_bert(tmp_path / str(seed), texts, truth, **trained))
    texts, truth = comments(N, seed=7, spoiled=False)
    dataset = write(tmp_path / "comments.jsonl", texts)
    first, second = compared(tmp_path, dataset, config(target="each"), models)
    rows = table(first)
    assert [(row["row"], row["id"], row["target"]) for row in rows[:4]] == [
        (0, "r0 · insult", "insult"),
        (1, "r0 · threat", "threat"),
        (2, "r0 · spam", "spam"),
        (3, "r1 · insult", "insult"),
    ]
    assert len(rows) == first.record.data.n_explained == N * len(labels)
    for place, row in enumerate(rows):
        assert row["text"] == texts[place // len(labels)]
        assert row["f_input"] == pytest.approx(row["logits"][place % len(labels)], abs=1e-5)
        assert dict(row["segments"]) == {"explained label": row["target"]}
    right = np.mean([(row["f_input"] > 0) == truth[i // 3, i % 3] for i, row in enumerate(rows)])
    assert right > 0.9, "the honest version has learned its labels"

    shifts = [shift for shift in second.record.drift.word_shifts if shift.word == SHORTCUT]
    assert second.record.drift.n_paired == N * len(labels)
    assert {shift.toward for shift in shifts if shift.fires} == {"insult"}, "the other labels' reasons hold"
    assert second.record.drift.verdict.value == "fail"
    assert "each once for every label of the model" in second.record.data.sampling
    index = unpack(Page((second.folder / "report.html").read_text(encoding="utf-8")).blocks["index"])
    assert index["segments"] == ["explained label"], "which the list of rows is filtered by"
    assert index["segment_values_0"] == sorted(labels)
    replayed = replay_version(str(second.folder), ReplayOptions(rows=5, dataset=None, output=tmp_path / "runs"), QUICK)
    assert replayed.outcome in {ReplayOutcome.EXACT, ReplayOutcome.WITHIN}


def test_each_is_for_labels_that_are_independent(tmp_path: Path) -> None:
    dataset = write(tmp_path / "rows.jsonl", ["a good film"])
    with pytest.raises(InputError, match="problem_type single_label_classification"):
        explain_release(str(save_tiny_bert(tmp_path / "bert")), dataset, config=config(target="each"), output=tmp_path / "runs")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_gold_label_of_a_row_is_explained_on_its_own(tmp_path: Path) -> None:
    labels = tuple(HARMS)
    texts, truth = comments(N, seed=7, spoiled=False)
    gold = [[label for label, holds in zip(labels, row, strict=True) if holds] for row in truth]
    dataset = tmp_path / "comments.jsonl"
    dataset.write_text("".join(json.dumps({"id": f"r{i}", "text": t, "label": gold[i]}) + "\n" for i, t in enumerate(texts)))
    model = save_tiny_bert(tmp_path / "model", 0, labels)
    settings = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(settings | {"problem_type": "multi_label_classification"}))
    outcome = explain_release(str(model), dataset, config=config(target="gold"), output=tmp_path / "runs")
    rows, results = table(outcome), outcome.record.results
    assert [(row["id"], row["target"]) for row in rows] == [
        (f"r{i} · {label}", label) for i, some in enumerate(gold) for label in some
    ]
    for row in rows:
        assert row["f_input"] == pytest.approx(row["logits"][labels.index(row["target"])], abs=1e-5)
        assert row["gold_labels"] == gold[int(row["id"].split()[0][1:])]
        assert row["label"] is None
    known = {row["id"].split()[0]: row for row in rows}
    right = [
        [(logit > 0) == (label in row["gold_labels"]) for label, logit in zip(labels, row["logits"], strict=True)]
        for row in known.values()
    ]
    assert results.n_labelled == len(known) == sum(bool(some) for some in gold)
    assert results.accuracy == pytest.approx(np.mean(right)), "every label of every row, each row once"
    assert [one.accuracy for one in results.labels] == pytest.approx(np.mean(right, axis=0))
    none = sum(not some for some in gold)
    assert outcome.record.data.dataset.n_without_label == none > 0
    assert f"{none} rows that have none are left out" in outcome.record.data.sampling
    by_class = [check for check in outcome.record.quality.checks if check.slice is not None and check.slice.by == "class"]
    assert {check.slice.value for check in by_class} == set(labels)
    report = (outcome.folder / "report.html").read_text(encoding="utf-8")
    assert "Decisions by label" in report
    replayed = replay_version(str(outcome.folder), ReplayOptions(rows=5, dataset=None, output=tmp_path / "runs"), QUICK)
    assert replayed.outcome in {ReplayOutcome.EXACT, ReplayOutcome.WITHIN}
