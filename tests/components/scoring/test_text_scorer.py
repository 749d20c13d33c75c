"""The text scorer against transformers itself: real export, real ONNX Runtime, tiny models."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, RobertaConfig, RobertaForSequenceClassification

from calig.metrics.perturbation import MEAN_EMBEDDING, PerturbedText
from components.common.errors import CouldNotRunError, InputError
from components.scoring import TokenScorer, open_scorer
from components.scoring import session as export_module
from schemas.quality import ScorerRecord
from schemas.release import ModelSnapshot
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_families import tiny
from tests.helpers.tiny_models import bert_vocabulary, save_tiny_bert, save_tiny_tokenizer

# float32 logits of size ~1 through two layers: rounding stays below 1e-5, a wrong mask or position moves them by 1e-2
ATOL = 2e-5


def texts(*lengths: int, seed: int = 0) -> list[PerturbedText]:
    random = np.random.default_rng(seed)
    return [PerturbedText(np.array([2, *random.integers(5, 60, size=length - 2), 3])) for length in lengths]


def plain_logits(folder: Path, item: PerturbedText, **inputs: torch.Tensor) -> np.ndarray:
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    given = inputs or {"input_ids": torch.from_numpy(item.input_ids)[None]}
    with torch.no_grad():
        return model(**given).logits.numpy()[0]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> ModelSnapshot:
    folder = tmp_path_factory.mktemp("bert")
    save_tiny_bert(folder)
    return snapshot_of(folder)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def opened(snapshot: ModelSnapshot, workspace: Path) -> tuple[TokenScorer, ScorerRecord]:
    return open_scorer(snapshot, runtime="auto", workspace=workspace, parity_inputs=texts(5, 17, 9))


def test_onnxruntime_is_used_and_recorded(
    opened: tuple[TokenScorer, ScorerRecord], snapshot: ModelSnapshot, workspace: Path
) -> None:
    record = opened[1]
    assert record.runtime == "onnxruntime"
    assert record.fallback_reason is None
    assert record.parity_max_abs is not None
    assert record.parity_max_abs < ATOL
    assert record.parity_rows == 3
    assert "CPUExecutionProvider" in record.providers
    file = workspace / "onnx" / snapshot.weights_digest / "model.onnx"
    assert record.exported_digest == export_module.digest(file)
    assert [path.name for path in (workspace / "onnx").iterdir()] == [snapshot.weights_digest]


@pytest.mark.parametrize("lengths", [(3,), (64,), (2, 2), (4, 40, 7, 64, 3, 20, 20, 11)])
def test_equals_transformers_alone_and_in_padded_batches(
    opened: tuple[TokenScorer, ScorerRecord], snapshot: ModelSnapshot, lengths: tuple[int, ...]
) -> None:
    items = texts(*lengths, seed=1)
    expected = np.stack([plain_logits(snapshot.model_path, item) for item in items])
    np.testing.assert_allclose(opened[0].logits(items), expected, atol=ATOL)
    np.testing.assert_allclose(np.concatenate([opened[0].logits([item]) for item in items]), expected, atol=ATOL)
    odds = np.exp(expected.astype(np.float64))
    np.testing.assert_allclose(opened[0](items), odds / odds.sum(axis=1, keepdims=True), atol=ATOL)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_decoder_without_padding_is_scored_in_batches(name: str, tmp_path: Path) -> None:
    """As the bases of adapters mostly are; transformers itself answers one row at a time only."""
    model = tiny(name).float()
    model.config.pad_token_id = None
    model.config.id2label = {0: "NEG", 1: "POS"}
    model.save_pretrained(tmp_path / name)
    save_tiny_tokenizer(tmp_path / name)
    rows = texts(5, 5, 9)
    scorer, record = open_scorer(snapshot_of(tmp_path / name), runtime="auto", workspace=tmp_path, parity_inputs=rows)
    assert record.fallback_reason is None
    expected = np.stack([plain_logits(tmp_path / name, row) for row in rows])
    np.testing.assert_allclose(scorer.logits(rows), expected, atol=1e-3)  # logits of size ~10 through three layers


def test_nothing_in_nothing_out(opened: tuple[TokenScorer, ScorerRecord]) -> None:
    assert opened[0]([]).shape == (0, 2)


def test_inputs_that_break_the_runtime_are_reported(opened: tuple[TokenScorer, ScorerRecord]) -> None:
    with pytest.raises(CouldNotRunError, match=r"input_ids \(1, 3\)"):
        opened[0]([PerturbedText(np.array([2, 10_000_000, 3]))])


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_the_mean_embedding_replaces_tokens(snapshot: ModelSnapshot, workspace: Path, runtime: str) -> None:
    scorer, _ = open_scorer(snapshot, runtime=runtime, workspace=workspace, parity_inputs=texts(5))  # type: ignore[arg-type]
    model = AutoModelForSequenceClassification.from_pretrained(snapshot.model_path)
    table = model.get_input_embeddings().weight.detach()
    embedded = torch.stack([table[2], table[10], table.mean(0), table[3]])[None]
    item = PerturbedText(np.array([2, 10, MEAN_EMBEDDING, 3]))
    expected = plain_logits(snapshot.model_path, item, inputs_embeds=embedded)
    np.testing.assert_allclose(scorer.logits([item])[0], expected, atol=ATOL)


def test_torch_scores_the_same(opened: tuple[TokenScorer, ScorerRecord], snapshot: ModelSnapshot, workspace: Path) -> None:
    scorer, record = open_scorer(snapshot, runtime="torch", workspace=workspace / "unused", parity_inputs=texts(5, 9))
    assert record == ScorerRecord(runtime="torch", providers=("cpu",), parity_rows=2)
    assert not (workspace / "unused").exists()
    items = texts(4, 30, 12, seed=3)
    np.testing.assert_allclose(scorer.logits(items), opened[0].logits(items), atol=ATOL)


def test_removed_tokens_keep_their_positions_and_typed_padding_has_none(tmp_path: Path) -> None:
    """RoBERTa counts positions over tokens that are not PAD, among them one that was replaced by PAD, not one that was typed."""
    config = RobertaConfig(
        vocab_size=len(bert_vocabulary()), hidden_size=32,
        num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, pad_token_id=1,
        max_position_embeddings=40, initializer_range=0.3, type_vocab_size=1,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        RobertaForSequenceClassification(config).save_pretrained(tmp_path / "model")
    save_tiny_tokenizer(tmp_path / "model")
    snapshot = snapshot_of(tmp_path / "model")
    scorer, record = open_scorer(snapshot, runtime="onnxruntime", workspace=tmp_path, parity_inputs=texts(5, 8))
    assert record.runtime == "onnxruntime"
    removed = PerturbedText(np.array([2, 11, 1, 1, 12, 3]), original_ids=np.array([2, 11, 20, 21, 12, 3]))
    ids = torch.from_numpy(removed.input_ids)[None]
    unshifted = plain_logits(snapshot.model_path, removed, input_ids=ids, position_ids=torch.arange(2, 8)[None])
    typed = PerturbedText(removed.input_ids)  # the model's own logits: `<pad>` that a user typed has no position
    shifted = plain_logits(snapshot.model_path, typed)
    assert np.abs(unshifted - shifted).max() > 1e-2
    np.testing.assert_allclose(scorer.logits([removed, typed]), [unshifted, shifted], atol=ATOL)
    both = PerturbedText(np.array([2, 1, 1, 1, 12, 3]), original_ids=typed.input_ids)
    held = plain_logits(
        snapshot.model_path,
        both,
        input_ids=torch.from_numpy(both.input_ids)[None],
        position_ids=torch.tensor([[2, 3, 1, 1, 4, 5]]),
    )
    np.testing.assert_allclose(scorer.logits([both])[0], held, atol=ATOL)


def test_the_export_is_reused(opened: tuple[TokenScorer, ScorerRecord], snapshot: ModelSnapshot, workspace: Path) -> None:
    file = workspace / "onnx" / snapshot.weights_digest / "model.onnx"
    before = file.stat().st_mtime_ns
    _, record = open_scorer(snapshot, runtime="onnxruntime", workspace=workspace, parity_inputs=texts(5, 7))
    assert file.stat().st_mtime_ns == before
    assert record.exported_digest == opened[1].exported_digest


@pytest.mark.parametrize("kept", ["of another model", "broken", "with one bit turned"])
def test_a_kept_export_that_does_not_fit_is_replaced(
    opened: tuple[TokenScorer, ScorerRecord], snapshot: ModelSnapshot, workspace: Path, tmp_path: Path, kept: str
) -> None:
    folder = tmp_path / "onnx" / snapshot.weights_digest
    folder.mkdir(parents=True)
    if kept == "broken":
        (folder / "model.onnx").write_bytes(b"not a model")
    elif kept == "with one bit turned":  # in a row of the embeddings, say, that no parity input has
        shutil.copytree(workspace / "onnx" / snapshot.weights_digest, folder, dirs_exist_ok=True)
        content = (folder / "model.onnx").read_bytes()
        (folder / "model.onnx").write_bytes(content[:-100] + bytes([content[-100] ^ 1]) + content[-99:])
    else:
        save_tiny_bert(tmp_path / "other", seed=9)
        other = snapshot_of(tmp_path / "other")
        open_scorer(other, runtime="onnxruntime", workspace=tmp_path, parity_inputs=texts(5))
        (tmp_path / "onnx" / other.weights_digest).replace(folder)
    stale = export_module.digest(folder / "model.onnx")
    scorer, record = open_scorer(snapshot, runtime="auto", workspace=tmp_path, parity_inputs=texts(5, 9))
    assert record.runtime == "onnxruntime"
    assert record.exported_digest != stale
    items = texts(6, 21)
    np.testing.assert_allclose(scorer.logits(items), opened[0].logits(items), atol=ATOL)


def test_when_the_export_fails_torch_scores_and_the_record_says_why(snapshot: ModelSnapshot, tmp_path: Path) -> None:
    blocked = tmp_path / "workspace"
    blocked.write_text("a file where a folder should be")
    scorer, record = open_scorer(snapshot, runtime="auto", workspace=blocked, parity_inputs=texts(5))
    assert record.runtime == "torch"
    assert record.fallback_reason is not None
    assert "workspace" in record.fallback_reason
    item = texts(7)[0]
    np.testing.assert_allclose(scorer.logits([item])[0], plain_logits(snapshot.model_path, item), atol=ATOL)
    with pytest.raises(CouldNotRunError, match="ONNX Runtime cannot score this model"):
        open_scorer(snapshot, runtime="onnxruntime", workspace=blocked, parity_inputs=texts(5))


def test_an_export_that_disagrees_is_not_accepted(
    snapshot: ModelSnapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = export_module._export

    def slightly_wrong(module, example, path):
        with torch.no_grad():
            module.model.classifier.bias += 0.01
        export(module, example, path)
        with torch.no_grad():
            module.model.classifier.bias -= 0.01

    monkeypatch.setattr(export_module, "_export", slightly_wrong)
    _, record = open_scorer(snapshot, runtime="auto", workspace=tmp_path, parity_inputs=texts(5))
    assert record.runtime == "torch"
    assert record.fallback_reason is not None
    assert "differ from torch by 0.01" in record.fallback_reason
    assert not (tmp_path / "onnx" / snapshot.weights_digest).exists()


def test_without_rows_agreement_is_not_claimed(snapshot: ModelSnapshot, workspace: Path) -> None:
    _, record = open_scorer(snapshot, runtime="auto", workspace=workspace, parity_inputs=[])
    assert record.runtime == "torch"
    assert record.parity_max_abs is None
    with pytest.raises(CouldNotRunError, match="no rows"):
        open_scorer(snapshot, runtime="onnxruntime", workspace=workspace, parity_inputs=[])


def test_one_class_has_no_probability_to_move(tmp_path: Path) -> None:
    """One output is a regression, unless the model says that it is a class."""
    save_tiny_bert(tmp_path, labels=("SCORE",))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"problem_type": "multi_label_classification"}))
    with pytest.raises(InputError, match="two or more"):
        open_scorer(snapshot_of(tmp_path), runtime="auto", workspace=tmp_path / "w", parity_inputs=texts(5))


def test_opening_is_quiet(snapshot: ModelSnapshot, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    open_scorer(snapshot, runtime="onnxruntime", workspace=tmp_path, parity_inputs=texts(5))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_token_types_of_pairs_reach_the_runtime(opened: tuple[TokenScorer, ScorerRecord], snapshot: ModelSnapshot) -> None:
    ids, types = np.array([2, 10, 11, 3, 12, 3]), np.array([0, 0, 0, 0, 1, 1])
    expected = plain_logits(
        snapshot.model_path,
        PerturbedText(ids),
        input_ids=torch.from_numpy(ids)[None],
        token_type_ids=torch.from_numpy(types)[None],
    )
    pair, single = PerturbedText(ids, token_types=types), PerturbedText(ids)
    scored = opened[0].logits([pair, single])
    np.testing.assert_allclose(scored[0], expected, atol=ATOL)
    np.testing.assert_allclose(scored[1], plain_logits(snapshot.model_path, single), atol=ATOL)
    assert np.abs(scored[0] - scored[1]).max() > 1e-2


def test_an_export_without_token_types_is_made_anew(snapshot: ModelSnapshot, tmp_path: Path) -> None:
    """Exports are kept under the weights' digest; those made before there were pairs lack the input."""
    from components.scoring.models import open_classifier

    classifier = open_classifier(snapshot, device="cpu")
    kept = classifier.collator.arrays([texts(5)[0]] * 2)
    del kept["token_type_ids"]
    export_module.exported(classifier.module, kept, folder=tmp_path / "onnx" / snapshot.weights_digest)
    _, record = open_scorer(snapshot, runtime="onnxruntime", workspace=tmp_path, parity_inputs=texts(5, 9))
    assert record.runtime == "onnxruntime"
