"""Adapters are explained as the merged model is: from a folder with their base, and as objects. The oracle is PEFT itself."""

from __future__ import annotations

import copy
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from calig import InvalidInputError, UnsupportedModelError, explain, load_model
from calig.checkpoint import read_checkpoint
from tests.calig.conftest import TEXTS
from tests.helpers.tiny_adapters import TARGETS, adapted, save_tiny_adapter
from tests.helpers.tiny_families import CASES, tiny
from tests.helpers.tiny_models import save_tiny_bert, save_tiny_tokenizer

#: Kinds of adapters, and what makes each its own.
KINDS: dict[str, dict[str, Any]] = {
    "LoRA": {},
    "rank-stabilised": {"use_rslora": True, "lora_alpha": 3},
    "DoRA": {"use_dora": True},
    "biases": {"bias": "all"},
    "patterns": {"rank_pattern": {"layer.0.attention.self.query": 4}, "alpha_pattern": {"value": 3}},
    "LoHa": {"kind": "LOHA"},
    "LoKr": {"kind": "LOKR"},
    "IA3": {"kind": "IA3", "target_modules": ["query", "output.dense"], "feedforward_modules": ["output.dense"]},
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny_bert(tmp_path / "base")


@pytest.fixture
def adapter(base: Path) -> Path:
    save_tiny_adapter(base.parent / "adapter", base)
    return base.parent / "adapter"


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    made = tf.AutoTokenizer.from_pretrained(save_tiny_tokenizer(tmp_path / "tokenizer"))
    made.model_input_names = ["input_ids", "attention_mask"]
    return made


def logits(model: Any, tokenizer: Any) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([model(**tokenizer(text, return_tensors="pt")).logits for text in TEXTS])


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def saved(model: Any, folder: Path) -> Path:
    """The merged model in a folder of its own, with a tokenizer."""
    copy.deepcopy(model).merge_and_unload().save_pretrained(folder)
    return save_tiny_tokenizer(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_explained_as_the_merged_checkpoint(base: Path, kind: str) -> None:
    model = save_tiny_adapter(base.parent / "adapter", base, **KINDS[kind])
    merged, tokenizer = load_model(saved(model, base.parent / "merged"), device="cpu")
    loaded, own = load_model(base.parent / "adapter", device="cpu")
    assert {type(module) for module in loaded.modules()} == {type(module) for module in merged.modules()}
    torch.testing.assert_close(logits(loaded, own), logits(model, tokenizer), rtol=1e-5, atol=1e-5)  # float32, another order
    for text in TEXTS[:2]:
        got, expected = explain(loaded, own, text)[0], explain(merged, tokenizer, text)[0]
        assert got.target == expected.target
        np.testing.assert_allclose(got.values, expected.values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["roberta", "llama", "gpt2"])
def test_heads_and_decoders(name: str, tmp_path: Path) -> None:
    CASES[name].build().save_pretrained(tmp_path / "base")
    save_tiny_tokenizer(tmp_path / "base")
    settings = {"fan_in_fan_out": True} if name == "gpt2" else {}
    model = save_tiny_adapter(tmp_path / "adapter", tmp_path / "base", **settings)
    loaded, tokenizer = load_model(tmp_path / "adapter", device="cpu")
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    torch.testing.assert_close(logits(loaded, tokenizer), logits(model, tokenizer), rtol=1e-5, atol=1e-6)
    untouched = tf.AutoModelForSequenceClassification.from_pretrained(tmp_path / "base").eval()
    assert not torch.allclose(logits(loaded, tokenizer), logits(untouched, tokenizer), atol=1e-2)


def test_images(tmp_path: Path) -> None:
    model = tiny("vit").float()
    model.save_pretrained(tmp_path / "base")
    wrapped = adapted(model, task_type=None, target_modules=["q_proj", "fc1"], modules_to_save=["classifier"])
    wrapped.save_pretrained(tmp_path / "adapter")
    change(tmp_path / "adapter" / "adapter_config.json", base_model_name_or_path=str(tmp_path / "base"))
    from calig.loading import load_weights

    pixels = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        got, expected = (m(pixel_values=pixels).logits for m in (load_weights(tmp_path / "adapter", "image"), wrapped))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_the_base_beside_the_adapter_comes_first(adapter: Path, base: Path) -> None:
    expected = load_model(adapter, device="cpu")[0].state_dict()
    shutil.move(base, adapter / "base")
    loaded, tokenizer = load_model(adapter, device="cpu")  # the tokenizer is the base's
    assert all(torch.equal(expected[name], tensor) for name, tensor in loaded.state_dict().items())
    assert tokenizer("film")["input_ids"]


def test_a_base_that_was_saved_while_it_was_wrapped(adapter: Path, base: Path) -> None:
    """MLflow saves the base of a `PeftModel` with the adapter's layers in it, whose names no loader knows."""
    expected = load_model(adapter, device="cpu")[0].state_dict()
    wrapped = adapted(tf.AutoModelForSequenceClassification.from_pretrained(base), seed=0)
    wrapped.base_model.model.save_pretrained(adapter / "base")
    names = set(load_file(adapter / "base" / "model.safetensors"))
    assert "bert.encoder.layer.0.attention.self.query.base_layer.weight" in names
    assert "classifier.modules_to_save.default.weight" in names
    loaded = load_model(adapter, base, device="cpu")[0].state_dict()
    assert all(torch.equal(expected[name], tensor) for name, tensor in loaded.items())


def test_a_base_without_a_head_gets_the_adapters(adapter: Path, base: Path) -> None:
    expected = load_model(adapter, device="cpu")[0].state_dict()
    tf.AutoModel.from_pretrained(base).save_pretrained(adapter / "base")
    loaded, _ = load_model(adapter, base, device="cpu")
    assert all(torch.equal(expected[name], tensor) for name, tensor in loaded.state_dict().items())
    assert type(loaded).__name__ == "BertForSequenceClassification"


def test_classes_are_those_of_the_adapters_head(base: Path, tmp_path: Path) -> None:
    three = tf.AutoModelForSequenceClassification.from_pretrained(base, num_labels=3, ignore_mismatched_sizes=True)
    wrapped, folder = adapted(three), tmp_path / "adapter"
    wrapped.save_pretrained(folder)
    model, tokenizer = load_model(folder, device="cpu")
    assert model.config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    torch.testing.assert_close(logits(model, tokenizer), logits(wrapped, tokenizer), rtol=1e-5, atol=1e-6)
    shutil.copy(base / "config.json", folder)
    with pytest.raises(InvalidInputError, match="2 in id2label\nallowed: 3"):
        load_model(folder)
    change(folder / "config.json", id2label={"0": "a", "1": "b", "2": "c"}, label2id={"a": 0, "b": 1, "c": 2})
    assert load_model(folder, device="cpu")[0].config.id2label == {0: "a", 1: "b", 2: "c"}


def test_a_base_in_half_precision_is_merged_in_float32(adapter: Path, base: Path) -> None:
    half = tf.AutoModelForSequenceClassification.from_pretrained(base).half()
    half.save_pretrained(adapter / "base")
    assert read_checkpoint(adapter).stored == ("float16", "float32")
    wrapped = adapted(half.float())
    loaded, tokenizer = load_model(adapter, base, device="cpu")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(logits(loaded, tokenizer), logits(wrapped, tokenizer), rtol=1e-5, atol=1e-6)


def without_base(adapter: Path) -> None:
    shutil.rmtree(adapter.parent / "base")


def hub_base(adapter: Path) -> None:
    change(adapter / "adapter_config.json", base_model_name_or_path="org/base", revision="abc123")


def pickled(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")


def nested(adapter: Path) -> None:
    shutil.copytree(adapter, adapter / "base")


def other_base(adapter: Path) -> None:
    shutil.rmtree(adapter.parent / "base")
    tf.BertForSequenceClassification(tf.BertConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=4)).save_pretrained(
        adapter.parent / "base"
    )


def rewritten(edit: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    def rewrite(adapter: Path) -> None:
        file = adapter / "adapter_model.safetensors"
        save_file(edit(load_file(file)), file, metadata={"format": "pt"})

    return rewrite


def setting(**changes: object) -> Callable[[Path], None]:
    return lambda adapter: change(adapter / "adapter_config.json", **changes)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no base": (without_base, r"base model is not here(?s:.*)base'(?s:.*)next: copy it there"),
    "a base in a hub": (hub_base, "hf download org/base --revision abc123 --local-dir"),
    "pickled": (pickled, r"pickled(?s:.*)allowed: adapter_model.safetensors"),
    "no weights": (lambda a: (a / "adapter_model.safetensors").unlink(), "no weights"),
    "nested": (nested, "is an adapter itself"),
    "another base": (other_base, "The adapter is not one for this base"),
    "no head": (rewritten(lambda w: {n: t for n, t in w.items() if "classifier" not in n}), "2 missing: .*classifier"),
    "a layer less": (rewritten(lambda w: {n: t for n, t in w.items() if ".layer.1." not in n}), "4 missing"),
    "a layer more": (rewritten(lambda w: w | {"base_model.model.x.lora_A.weight": torch.zeros(2, 2)}), "1 unexpected"),
    "not a number": (rewritten(lambda w: {n: t * torch.nan for n, t in w.items()}), "NaN|infinite"),
    "quantised": (rewritten(lambda w: {n: t.to(torch.int8) for n, t in w.items()}), "quantised"),
    "prompts": (setting(peft_type="PROMPT_TUNING"), "cannot be merged into a classifier"),
    "a language model": (setting(task_type="CAUSAL_LM"), "cannot be merged into a classifier"),
    "imports a module": (setting(megatron_config={"a": 1}, megatron_core="os"), "megatron_config.*megatron_core"),
    "a cache": (setting(corda_config={"cache_file": "x.pt"}), "corda_config"),
    "changes the base": (setting(init_lora_weights="pissa"), "init_lora_weights='pissa'"),
    "repeats layers": (setting(layer_replication=[[0, 2], [1, 2]]), "layer_replication"),
    "slow pattern": (setting(target_modules="(a+)+$"), "plain names of modules"),
    "nothing to change": (setting(target_modules=["nowhere"]), "does not fit its base"),
    "broken": (lambda a: (a / "adapter_config.json").write_text("{"), "adapter_config.json cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_merged_is_refused(adapter: Path, tokenizer: Any, case: str) -> None:
    harm, message = REFUSED[case]
    harm(adapter)
    with pytest.raises((InvalidInputError, UnsupportedModelError), match=message):
        load_model(adapter, adapter.parent / "tokenizer", device="cpu")


def test_without_the_library_the_extra_is_named(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'calig\[peft\]'"):
        load_model(adapter)


@pytest.mark.parametrize("name", ["bert", *(name for name in TARGETS if name != "bert")])
def test_objects_are_merged_on_a_copy(name: str, tokenizer: Any) -> None:
    """Float64: what differs is the order of sums."""
    wrapped = adapted(tiny(name), **({"fan_in_fan_out": True} if name == "gpt2" else {})).double()
    before = {key: tensor.clone() for key, tensor in wrapped.state_dict().items()}
    wanted = [parameter.requires_grad for parameter in wrapped.parameters()]
    merged = copy.deepcopy(wrapped).merge_and_unload()
    torch.testing.assert_close(logits(merged, tokenizer), logits(wrapped, tokenizer), rtol=1e-9, atol=1e-12)
    for text in TEXTS[:2]:
        got, expected = (explain(m, tokenizer, text, n_points=10)[0] for m in (wrapped, merged))
        np.testing.assert_allclose(got.layers, expected.layers, rtol=1e-7, atol=1e-10)
    assert wrapped.state_dict().keys() == before.keys()
    assert all(torch.equal(before[key], tensor) for key, tensor in wrapped.state_dict().items())
    assert [parameter.requires_grad for parameter in wrapped.parameters()] == wanted


def test_objects_with_adapted_embeddings(tokenizer: Any) -> None:
    wrapped = adapted(tiny("bert"), target_modules=["word_embeddings"]).double()
    merged = copy.deepcopy(wrapped).merge_and_unload()
    got, expected = (explain(m, tokenizer, TEXTS[0], baseline="mean", n_points=10)[0] for m in (wrapped, merged))
    np.testing.assert_allclose(got.values, expected.values, rtol=1e-7, atol=1e-10)


def test_the_copy_shares_what_the_adapter_does_not_touch() -> None:
    from calig.families import unwrapped

    wrapped = adapted(tiny("bert")).double()
    merged = unwrapped(wrapped)
    before, layer = wrapped.base_model.model.bert, merged.bert.encoder.layer[0].attention.self
    assert merged.bert.embeddings.word_embeddings.weight.data_ptr() == before.embeddings.word_embeddings.weight.data_ptr()
    assert layer.query.weight.data_ptr() != before.encoder.layer[0].attention.self.query.base_layer.weight.data_ptr()


def test_switched_off_adapters_are_not_explained(tokenizer: Any) -> None:
    wrapped = adapted(tiny("bert")).double()
    with wrapped.disable_adapter(), pytest.raises(InvalidInputError, match="switched off"):
        explain(wrapped, tokenizer, TEXTS[0])
    explain(wrapped, tokenizer, TEXTS[0], n_points=2)


def test_prompts_are_no_change_of_weights(tokenizer: Any) -> None:
    from peft import PrefixTuningConfig, get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PEFT's own
        wrapped = get_peft_model(tiny("llama"), PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=2))
    with pytest.raises(UnsupportedModelError, match="prompt tuning cannot be attributed"):
        explain(wrapped, tokenizer, TEXTS[0])
