"""The whole way on tiny models: the engine's own table, ONNX Runtime, Great Expectations."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from calig.metrics.perturbation import Perturbation
from components.attribution import choose_perturbation, explain_shard
from components.quality import sample_inputs
from components.quality.scores.table import Row, explained_function, source_of
from components.scoring import TokenScorer, open_scorer
from components.table.reader import iter_rows
from schemas.base import CheckVerdict
from schemas.config import AttributionConfig, QualityConfig
from schemas.quality import QualityReport
from schemas.release import Example
from tests.helpers.judged import evaluate
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import WORDS, save_tiny_bert, save_tiny_vit


def run(folder: Path, examples: list[Example], workspace: Path, baseline: str = "auto", kind: str = "auto") -> QualityReport:
    snapshot, config = snapshot_of(folder), AttributionConfig(device="cpu", baseline=baseline)  # type: ignore[arg-type]
    shard = explain_shard(snapshot, examples, config, index=0, path=workspace / "shard.parquet")
    assert shard.n_explained == len(examples)
    perturbation = choose_perturbation(snapshot, config, kind)  # type: ignore[arg-type]
    inputs = sample_inputs([shard.path], limit=8, perturbation=perturbation)
    scorer, record = open_scorer(snapshot, runtime="onnxruntime", workspace=workspace, parity_inputs=inputs)
    if kind == "auto":
        check_baseline(shard.path, snapshot.labels, scorer, perturbation)
    quality = QualityConfig(bootstrap_draws=200)
    how = {"labels": snapshot.labels, "scorer": scorer, "scorer_record": record, "modality": snapshot.modality}
    return evaluate([shard.path], config=quality, perturbation=perturbation, **how)


def check_baseline(path: Path, labels: tuple[str, ...], scorer: TokenScorer, perturbation: Perturbation) -> None:
    """Everything removed is the baseline x', and nothing removed is x: the scorer's logits are the engine's f(x') and f(x)."""
    rows = list(iter_rows([path], Row))
    sources = [source_of(row, perturbation) for row in rows]
    functions = [explained_function(row, labels) for row in rows]
    for removed, column in ((True, "f_baseline"), (False, "f_input")):
        expected = [row[column] for row in pq.read_table(path, columns=[column]).to_pylist()]
        logits = scorer.logits([source.without(np.full(source.n_content, removed)) for source in sources])
        # float32 through two layers in another order of summation
        found = [function(row) for function, row in zip(functions, logits, strict=True)]
        np.testing.assert_allclose(found, expected, atol=1e-4)


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
    assert report.perturbation == "replace"
    deleted = run(tmp_path / "bert", examples, tmp_path, kind="delete")
    check_report(deleted)
    assert deleted.perturbation == "delete"
    # what is removed differs, so the figures do; nothing is removed from x itself
    first, second = ({m.name: m.value for m in r.metrics} for r in (report, deleted))
    assert first["comprehensiveness"] != second["comprehensiveness"]
    assert not any(metric.name == "positive perturbation AUC" for metric in report.metrics)


@pytest.mark.parametrize(("baseline", "kind"), [("auto", "zero"), ("blur", "blur")])
def test_images(tmp_path: Path, baseline: str, kind: str) -> None:
    save_tiny_vit(tmp_path / "vit")
    random = np.random.default_rng(0)
    examples = []
    for row in range(30):
        Image.fromarray(random.integers(0, 256, size=(40, 48, 3), dtype=np.uint8)).save(tmp_path / f"{row}.png")
        examples.append(Example(row=row, id=f"r{row}", image=tmp_path / f"{row}.png"))
    report = run(tmp_path / "vit", examples, tmp_path, baseline)
    check_report(report)
    assert report.suite == "vision"
    untried = "maps fall when the model forgets"  # nothing tried to falsify these maps
    assert all(c.verdict is not CheckVerdict.INCONCLUSIVE for c in report.checks if c.slice is None and c.name != untried)
    assert report.perturbation == kind
    kept = {metric.name: metric for metric in report.metrics if "perturbation AUC" in metric.name}
    assert [metric.n for metric in kept.values()] == [30, 30]
    assert kept["positive perturbation AUC"].value < kept["negative perturbation AUC"].value  # type: ignore[operator]
