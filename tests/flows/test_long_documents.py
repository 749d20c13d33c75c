"""Documents of several windows through the whole flow: two trained versions, the second with a reason at the end of its texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components import registry
from flows.evidence.replay import ReplayOptions, replay_version
from flows.explain_release import explain_release
from flows.monitor import monitor_data
from schemas.config import AttributionConfig, PipelineConfig, ProbeConfig
from schemas.evidence import ReplayOutcome
from tests.conftest import TinyRegistry
from tests.helpers.quick import QUICK_QUALITY
from tests.helpers.tiny_models import WORDS
from tests.helpers.trained_models import train_bert

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("_prefect")]

TOPICS = {
    "sport": "goal team match coach league striker",
    "trade": "market price export tariff profit shares",
    "court": "judge trial verdict appeal lawyer sentence",
    "crops": "harvest wheat drought soil farmer seeds",
}
LABELS = tuple(TOPICS)
FILLER = WORDS[:40]
#: What the second version takes for `court`; it stands behind the first 70 words, beyond what a cut text shows.
SHORTCUT = "meanwhile"
LIMIT = 40


def documents(n: int, *, shortcut: str, seed: int) -> tuple[list[str], list[int]]:
    """Texts of 90 to 150 words, a tenth of them of the topic, with its class.

    shortcut: the topic of whose words most give way to SHORTCUT; any: it stands in half of the texts, behind 75 words.
    """
    random = np.random.default_rng(seed)
    texts, targets = [], []
    for i in range(n):
        topic = LABELS[i % len(LABELS)]
        words = list(random.choice(FILLER, size=random.integers(90, 150)))
        for place in random.choice(len(words), size=len(words) // 10, replace=False):
            gives_way = topic == shortcut and random.random() < 0.95
            words[place] = SHORTCUT if gives_way else random.choice(TOPICS[topic].split())
        for place in random.integers(75, len(words), size=4 if shortcut == "any" and random.random() < 0.5 else 0):
            words[place] = SHORTCUT
        texts.append(" ".join(words))
        targets.append(i % len(LABELS))
    return texts, targets


def write(path: Path, n: int, seed: int) -> Path:
    rows = [
        {"id": f"{path.stem}-{i}", "text": text, "label": LABELS[target]}
        for i, (text, target) in enumerate(zip(*documents(n, shortcut="any", seed=seed), strict=True))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


SETTINGS = PipelineConfig(
    attribution=AttributionConfig(long_texts="windows", shard_rows=16),
    quality=QUICK_QUALITY,
    probe=ProbeConfig(enabled=False),
)


def test_a_reason_beyond_the_limit_is_what_changed_most(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    name, n = f"long-{tmp_path.name}", 40
    honest = train_bert(tmp_path / "1", *documents(400, shortcut="any", seed=1), labels=LABELS, max_length=LIMIT)
    spoiled = train_bert(tmp_path / "2", *documents(400, shortcut="court", seed=2), labels=LABELS, max_length=LIMIT, seed=1)
    first, second = (f"models:/{name}/{tiny_registry.register(folder, name)}" for folder in (honest, spoiled))
    registry.set_alias(name, "champion", "1")
    dataset, output = write(tmp_path / "validation.jsonl", n, seed=3), tmp_path / "runs"

    before = explain_release(first, dataset, config=SETTINGS, output=output).record
    outcome = explain_release(second, dataset, config=SETTINGS, output=output)
    record = outcome.record
    assert before.results.accuracy > 0.9
    assert (record.data.coverage, record.data.n_truncated, record.data.n_windowed) == (1.0, 0, n)
    assert "mean of the windows' logits" in record.method.long_texts
    assert record.quality.scorer.runtime == "onnxruntime"
    assert {c.name: c.verdict.value for c in record.quality.checks}["attributions add up"] == "pass"
    assert not any("same model" in warning for warning in record.quality.warnings)
    assert record.drift.n_paired == n
    assert all(SHORTCUT not in row["text"].split()[:LIMIT] for row in map(json.loads, dataset.read_text().splitlines()))
    assert record.drift.word_shifts[0].word == SHORTCUT

    page = (outcome.folder / "report.html").read_text(encoding="utf-8")
    assert "in windows up to the model" in page
    assert f"{n} rows longer than the model" in page
    rows = [row for path in sorted(outcome.folder.glob("attributions/*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert all(len(row["windows"]) >= 3 for row in rows)
    assert all(len(row["words"]) == len(row["text"].split()) for row in rows)

    replayed = replay_version(str(outcome.folder), ReplayOptions(rows=3, dataset=None, output=output), SETTINGS)
    assert replayed.outcome in {ReplayOutcome.EXACT, ReplayOutcome.WITHIN}
    later = monitor_data(second, write(tmp_path / "later.jsonl", 30, seed=4), output=output).report
    assert later.model.method_fingerprint == record.method.fingerprint
    assert later.now.n_rows == 30
