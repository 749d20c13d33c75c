"""Runtimes that give what are no logits of the classes: always an error, never a figure."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from calig.metrics.perturbation import PerturbedImage, PerturbedText, TextSource
from components.common.errors import CouldNotRunError
from components.quality.scores.trust import checked
from components.scoring import TokenScorer, open_scorer
from components.scoring import scorer as scorer_module
from components.scoring import session as session_module
from components.scoring.batches import ImageCollator, TextCollator
from components.scoring.opening import check_parity
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_families import tiny
from tests.helpers.tiny_models import save_tiny_bert, save_tiny_tokenizer

ITEMS = [PerturbedText(np.array([2, 5 + i, 9, 3])) for i in range(3)]


def scorer(change) -> TokenScorer:
    return TokenScorer(lambda arrays: change(np.tile([1.0, -1.0], (len(arrays["input_ids"]), 1))), TextCollator(), n_classes=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda logits: logits[:, :1], r"a wrong shape\ngot: \(3, 1\)\nallowed: 3 inputs × 2 classes"),
        (lambda logits: logits[0], r"a wrong shape\ngot: \(2,\)"),
        (lambda logits: logits[:1], "a wrong shape"),
        (lambda logits: np.tile(logits, 2), "a wrong shape"),
        (lambda logits: np.where(np.eye(3, 2) > 0, np.nan, logits), r"NaN or infinite\ngot: 2 of 3 inputs"),
        (lambda logits: logits / 0.0, r"NaN or infinite\ngot: 3 of 3 inputs"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_logits_of_a_wrong_form_are_an_error(change, message: str) -> None:
    with pytest.raises(CouldNotRunError, match=message):
        scorer(change)(ITEMS)
    with pytest.raises(CouldNotRunError, match="the model gave logits"):
        check_parity(scorer(change), ITEMS, np.tile([1.0, -1.0], (3, 1)))


class Counting:
    """Runs batches, the logits being the sum of the ids at attended positions and its negative, and counts inputs."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        self.n += len(arrays["input_ids"])
        total = (arrays["input_ids"] * arrays["attention_mask"]).sum(axis=1)
        return np.stack([total, -total], axis=1).astype(np.float64)


def test_what_is_given_again_is_not_scored_again(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Counting()
    once = TokenScorer(run, TextCollator(), n_classes=2).once()
    emptied = [TextSource(np.array([2, word, 3]), np.array([False, True, False]), 4).without(np.array([True])) for word in (7, 8)]
    whole = PerturbedText(np.array([2, 7, 3]))
    assert once.logits([emptied[0], whole, emptied[1]])[:, 0].tolist() == [9, 12, 9]
    assert run.n == 2, "without their content the two rows are one input"
    masked = PerturbedText(np.array([2, 7, 3]), attended=np.array([True, False, True]))
    assert once.logits([whole, masked, *emptied])[:, 0].tolist() == [12, 5, 9, 9]
    assert run.n == 3, "the same ids under another mask are another input"
    assert once.logits([]).shape == (0, 2)
    monkeypatch.setattr(scorer_module, "_REMEMBERED", 1)
    once.logits([masked])
    once.logits([masked])
    assert run.n == 3
    once.logits([whole])
    assert run.n == 4, "beyond the limit the oldest is forgotten"


def test_a_window_that_a_removal_leaves_alone_is_scored_once() -> None:
    """Windows 0..2 and 2..4 of four words: each of the four texts without one word changes one window."""
    run = Counting()
    once = TokenScorer(run, TextCollator(), n_classes=2).once()
    ids, content = np.array([2, 5, 6, 7, 8, 3]), np.array([False, True, True, True, True, False])
    source = TextSource(ids, content, 4, windows=((1, 3), (3, 5)))
    inputs = [source.without(np.arange(4) == gone) for gone in range(4)]
    found = once.logits(inputs)
    assert run.n == 2 + 4
    np.testing.assert_array_equal(found, TokenScorer(Counting(), TextCollator(), n_classes=2).logits(inputs))


def test_positions_and_types_tell_inputs_apart() -> None:
    """Where a model counts positions by what is padding, an input is what it was before anything was replaced as well."""
    pair = [PerturbedText(np.array([4, 4]), original_ids=np.array(original)) for original in ([7, 8], [7, 1])]
    assert len({TextCollator().identity(item) for item in pair}) == 1
    assert len({TextCollator(skips_padding=True, padding_id=1).identity(item) for item in pair}) == 2
    typed = [PerturbedText(np.array([4, 4]), token_types=np.array(types)) for types in ([0, 0], [0, 1])]
    assert len({TextCollator(takes_types=True).identity(item) for item in typed}) == 2
    pictures = [PerturbedImage(Path("a.png"), np.array(gone), fill) for gone in ([True], [False]) for fill in ("zero", "blur")]  # type: ignore[arg-type]
    assert len({ImageCollator(None, patch_size=8).identity(item) for item in pictures}) == 4


def test_swapped_classes_are_no_agreement() -> None:
    with pytest.raises(CouldNotRunError, match="differ from torch by 2"):
        check_parity(scorer(lambda logits: logits[:, ::-1]), ITEMS, np.tile([1.0, -1.0], (3, 1)))


@pytest.mark.parametrize("labels", [("POS", "NEG"), ("NEG", "POS", "NEUTRAL"), ("bad", "good")])
def test_a_model_whose_classes_are_not_the_versions_is_not_scored(tmp_path: Path, labels: tuple[str, ...]) -> None:
    snapshot = snapshot_of(save_tiny_bert(tmp_path / "bert"))
    wrong = snapshot.model_copy(update={"labels": labels})
    with pytest.raises(CouldNotRunError, match=f"same order\ngot: NEG, POS\nallowed: {', '.join(labels)}"):
        open_scorer(wrong, runtime="auto", workspace=tmp_path, parity_inputs=ITEMS)


def test_a_runtime_that_gives_nan_is_replaced_by_torch_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module._Bound, "__call__", lambda self, arrays: np.full((len(arrays["input_ids"]), 2), np.nan))
    snapshot = snapshot_of(save_tiny_bert(tmp_path / "bert"))
    opened, record = open_scorer(snapshot, runtime="auto", workspace=tmp_path, parity_inputs=ITEMS)
    assert record.runtime == "torch"
    assert "NaN or infinite" in (record.fallback_reason or "")
    assert np.isfinite(opened.logits(ITEMS)).all()
    with pytest.raises(CouldNotRunError, match="ONNX Runtime cannot score this model"):
        open_scorer(snapshot, runtime="onnxruntime", workspace=tmp_path, parity_inputs=ITEMS)


def test_several_labels_have_a_probability_each(tmp_path: Path) -> None:
    """The oracle: the sigmoid of the model's own logits."""
    folder = save_tiny_bert(tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"problem_type": "multi_label_classification"}))
    opened, _ = open_scorer(snapshot_of(folder), runtime="torch", workspace=tmp_path, parity_inputs=ITEMS)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        expected = torch.stack([model(torch.from_numpy(item.input_ids)[None]).logits[0].sigmoid() for item in ITEMS])
    assert opened.problem_type == "multi_label_classification"
    np.testing.assert_allclose(opened(ITEMS), expected, atol=1e-5)
    np.testing.assert_array_equal(checked(opened, 2)(ITEMS), opened(ITEMS))


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_decoders_are_scored_where_they_read(name: str, tmp_path: Path) -> None:
    """The oracle: the model's own forward on its own tokens, which end with the padding token."""
    model = tiny(name).float()
    model.config.pad_token_id = 3
    model.config.id2label = {0: "NEG", 1: "POS"}
    model.save_pretrained(tmp_path / name)
    save_tiny_tokenizer(tmp_path / name)
    ends = [[2, 9, 30, 3], [2, 9, 30, 3, 3, 3], [2, 9, 30, 11], [3, 3]]
    source = TextSource(np.array([2, 9, 30, 3]), np.array([False, True, True, False]), replacement_id=3)
    items = [*(PerturbedText(np.array(ids)) for ids in ends), source.without(np.array([False, True]))]
    opened, _ = open_scorer(snapshot_of(tmp_path / name), runtime="torch", workspace=tmp_path, parity_inputs=items[:3])
    with torch.no_grad():
        expected = torch.cat([model(torch.tensor([ids])).logits for ids in ends]).numpy()
    np.testing.assert_allclose(opened.logits(items)[: len(ends)], expected, atol=1e-4)
    logits = opened.logits(items)
    assert np.abs(logits[4] - logits[0]).max() > 1e-3  # the last content is gone; it is still read at its place
    with torch.no_grad():  # not one before, where the model would read if the removal were a text's own padding
        assert np.abs(logits[4] - model(torch.tensor([[2, 9]])).logits[0].numpy()).max() > 1e-3
