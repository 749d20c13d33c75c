"""The setting quality.perturbation on real tiny models: what auto means, what fits, and the read-out that must stay."""

from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from calig.metrics.perturbation import MEAN_EMBEDDING, Perturbation
from components.attribution import choose_perturbation
from components.common.errors import InputError
from schemas.config import AttributionConfig
from schemas.release import ModelSnapshot
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_families import tiny
from tests.helpers.tiny_models import bert_vocabulary, save_tiny_bert, save_tiny_tokenizer, save_tiny_vit

CPU = AttributionConfig(device="cpu")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> ModelSnapshot:
    return snapshot_of(save_tiny_bert(tmp_path_factory.mktemp("bert")))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> ModelSnapshot:
    return snapshot_of(save_tiny_vit(tmp_path_factory.mktemp("vit")))


def gpt2(folder: Path, *, special_at_the_end: bool) -> ModelSnapshot:
    model = tiny("gpt2").float()
    model.config.id2label = {0: "NEG", 1: "POS"}
    model.config.bos_token_id = model.config.eos_token_id = None
    model.save_pretrained(folder)
    save_tiny_tokenizer(folder)
    if not special_at_the_end:
        from tokenizers.processors import TemplateProcessing

        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A", special_tokens=[])
        tokenizer.save_pretrained(folder)
    return snapshot_of(folder)


@pytest.mark.parametrize("setting", ["auto", "replace"])
@pytest.mark.parametrize(("baseline", "token"), [("auto", "[MASK]"), ("mask", "[MASK]"), ("pad", "[PAD]"), ("mean", None)])
def test_texts_get_the_token_of_the_baseline(bert, baseline, token, setting):
    expected = MEAN_EMBEDDING if token is None else bert_vocabulary().index(token)
    config = CPU.model_copy(update={"baseline": baseline})
    assert choose_perturbation(bert, config, setting) == Perturbation("replace", expected)


@pytest.mark.parametrize(
    ("baseline", "setting", "kind"),
    [
        ("auto", "auto", "zero"),
        ("zero", "auto", "zero"),
        ("blur", "auto", "blur"),
        ("blur", "zero", "zero"),
        ("auto", "blur", "blur"),
    ],
)
def test_images_are_filled_as_the_baseline_is_unless_told_otherwise(vit, baseline, setting, kind):
    assert choose_perturbation(vit, CPU.model_copy(update={"baseline": baseline}), setting).kind == kind


def test_a_kind_that_does_not_fit_names_those_that_do(bert, vit):
    for setting in ("zero", "blur"):
        with pytest.raises(InputError, match=f"does not fit texts\ngot: {setting}\nallowed: auto, replace, delete"):
            choose_perturbation(bert, CPU, setting)
    for setting in ("replace", "delete"):
        with pytest.raises(InputError, match=f"does not fit images\ngot: {setting}\nallowed: auto, zero, blur"):
            choose_perturbation(vit, CPU, setting)


def test_a_baseline_that_does_not_exist_is_the_users_error(bert):
    with pytest.raises(InputError, match="no baseline 'blur'"):
        choose_perturbation(bert, CPU.model_copy(update={"baseline": "blur"}), "auto")


def test_an_encoder_may_lose_any_content_token(bert):
    assert choose_perturbation(bert, CPU, "delete") == Perturbation("delete")


def test_a_decoder_may_when_it_reads_a_special_token_and_not_when_it_reads_the_text(tmp_path):
    assert choose_perturbation(gpt2(tmp_path / "special", special_at_the_end=True), CPU, "delete").kind == "delete"
    plain = gpt2(tmp_path / "plain", special_at_the_end=False)
    with pytest.raises(InputError, match="reads its answer at the last token"):
        choose_perturbation(plain, CPU, "delete")
    assert choose_perturbation(plain, CPU, "auto").kind == "replace"
