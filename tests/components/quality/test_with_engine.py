"""The whole way on tiny models: the engine's own table, ONNX Runtime, Great Expectations."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from components.attribution import explain_shard, replacement_id
from components.quality import evaluate, sample_inputs
from components.quality.table import explained_class, read_rows, source_of
from components.scoring import TokenScorer, open_scorer
from schemas.base import CheckVerdict
from schemas.config import AttributionConfig, QualityConfig
from schemas.quality import QualityReport
from schemas.release import Example
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import WORDS, save_tiny_bert, save_tiny_vit


def run(folder: Path, examples: list[Example], workspace: Path) -> QualityReport:
    snapshot, config = snapshot_of(folder), AttributionConfig(device="cpu")
    shard = explain_shard(snapshot, examples, config, index=0, path=workspace / "shard.parquet")
    assert shard.n_explained == len(examples)
    inputs = sample_inputs([shard.path], limit=8)
    scorer, record = open_scorer(snapshot, runtime="onnxruntime", workspace=workspace, parity_inputs=inputs)
    check_baseline(shard.path, scorer, replacement_id(snapshot, config))
    quality = QualityConfig(bootstrap_draws=200)
    return evaluate(
        [shard.path], scorer=scorer, scorer_record=record, config=quality, replacement_id=replacement_id(snapshot, config)
    )


def check_baseline(path: Path, scorer: TokenScorer, replacement: int | None) -> None:
    """Everything removed is the baseline x', and nothing removed is x: the scorer's logits are the engine's f(x') and f(x)."""
    rows = [row for rows in read_rows([path]) for row in rows]
    sources = [source_of(row, replacement) for row in rows]
    classes = [explained_class(row) for row in rows]
    for removed, column in ((True, "f_baseline"), (False, "f_input")):
        expected = [row[column] for row in pq.read_table(path, columns=[column]).to_pylist()]
        logits = scorer.logits([source.without(np.full(source.n_content, removed)) for source in sources])
        # float32 through two layers in another order of summation
        np.testing.assert_allclose(logits[np.arange(len(rows)), classes], expected, atol=1e-4)


def check_report(report: QualityReport) -> None:
    values = {metric.name: metric.value for metric in report.metrics}
    verdicts = {check.name: check.verdict.value for check in report.checks}
    assert values["non-finite rows"] == 0.0
    assert verdicts["attributions add up"] == "pass"
    assert verdicts["enough rows"] == "pass"
    assert len(report.controls) == 6
    assert len(report.curves) == 14
    assert report.scorer.runtime == "onnxruntime"
    # the scorer gives the engine's own probabilities, so it runs the same model on the same inputs
    assert not any("same model" in warning for warning in report.warnings)


def test_texts(tmp_path: Path) -> None:
    save_tiny_bert(tmp_path / "bert")
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, size=4 + row % 7)) for row in range(32)]
    examples = [Example(row=row, id=f"r{row}", text=text) for row, text in enumerate(texts)]
    report = run(tmp_path / "bert", examples, tmp_path)
    check_report(report)
    assert report.suite == "default"


def test_images(tmp_path: Path) -> None:
    save_tiny_vit(tmp_path / "vit")
    random = np.random.default_rng(0)
    examples = []
    for row in range(30):
        Image.fromarray(random.integers(0, 256, size=(40, 48, 3), dtype=np.uint8)).save(tmp_path / f"{row}.png")
        examples.append(Example(row=row, id=f"r{row}", image=tmp_path / f"{row}.png"))
    report = run(tmp_path / "vit", examples, tmp_path)
    check_report(report)
    assert report.suite == "vision"
    assert all(check.verdict is not CheckVerdict.INCONCLUSIVE for check in report.checks if check.slice is None)
