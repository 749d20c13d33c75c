"""Deletion from the attention mask, by torch and by ONNX Runtime, against inputs that physically lack the deleted tokens."""

from pathlib import Path

import numpy as np
import pytest
import torch

from calig.metrics.perturbation import PerturbedText
from components.common.errors import InputError
from components.scoring import open_scorer
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_families import tiny
from tests.helpers.tiny_models import save_tiny_tokenizer

# float32 logits of size ~10 through three layers; a mask that is not honoured moves them by more than 0.1
ATOL = 1e-4


def rows(*lengths: int) -> list[PerturbedText]:
    """Rows of several lengths, half of the content deleted; in the last also the first content token."""
    random = np.random.default_rng(0)
    made = []
    for length in lengths:
        attended = np.array([True, *(random.random(length) < 0.5), True])
        made.append(PerturbedText(np.array([2, *random.integers(5, 60, size=length), 3]), attended))
    made[-1].attended[1] = False  # type: ignore[index]
    return made


def saved(name: str, folder: Path):
    model = tiny(name).float()
    model.config.id2label = {0: "NEG", 1: "POS"}
    if name == "gpt2":
        model.config.bos_token_id = model.config.eos_token_id = None
    model.save_pretrained(folder)
    save_tiny_tokenizer(folder)
    return model


def without_the_tokens(model, item: PerturbedText) -> np.ndarray:
    """Logits of the tokens that are left, each at the position it had."""
    left = torch.from_numpy(np.flatnonzero(item.attended))
    ids = torch.from_numpy(item.input_ids)[left]
    with torch.inference_mode():
        return model(input_ids=ids[None], position_ids=left[None]).logits.numpy()[0]


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_a_deleted_token_is_as_good_as_absent(name: str, tmp_path: Path) -> None:
    model = saved(name, tmp_path / name)
    items = rows(3, 7, 5, 7, 9)
    expected = np.stack([without_the_tokens(model, item) for item in items])
    for runtime in ("onnxruntime", "torch"):
        scorer, record = open_scorer(snapshot_of(tmp_path / name), runtime=runtime, workspace=tmp_path, parity_inputs=items)
        assert record.runtime == runtime
        np.testing.assert_allclose(scorer.logits(items), expected, atol=ATOL)
        whole = scorer.logits([PerturbedText(item.input_ids) for item in items])
        assert np.abs(whole - expected).max() > 0.1


def test_no_first_token_to_attend_to_is_no_nan(tmp_path: Path) -> None:
    """A decoder's first positions see nothing when they are deleted; nobody sees them either."""
    model = saved("llama", tmp_path / "llama")
    item = rows(6)[0]
    item.attended[:2] = False  # type: ignore[index]
    for runtime in ("onnxruntime", "torch"):
        scorer, _ = open_scorer(snapshot_of(tmp_path / "llama"), runtime=runtime, workspace=tmp_path, parity_inputs=[item])
        np.testing.assert_allclose(scorer.logits([item])[0], without_the_tokens(model, item), atol=ATOL)


def test_the_read_out_token_is_never_deleted_silently(tmp_path: Path) -> None:
    saved("gpt2", tmp_path / "gpt2")
    good = rows(5)[0]
    scorer, _ = open_scorer(snapshot_of(tmp_path / "gpt2"), runtime="torch", workspace=tmp_path, parity_inputs=[good])
    attended = np.ones(len(good.input_ids), dtype=bool)
    attended[-1] = False
    with pytest.raises(InputError, match=r"reads its answer from cannot be deleted.*\nnext: set quality\.perturbation"):
        scorer([PerturbedText(good.input_ids, attended)])
