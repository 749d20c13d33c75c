"""One way in: a folder is loaded as it was saved or refused, with what is wrong, before anything of its size is allocated."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

from calig import InvalidInputError, explain, load_model
from calig.checkpoint import read_checkpoint
from calig.families import FAMILIES
from calig.loading import check_vocabulary, check_weights
from tests.helpers.tiny_families import CASES, tiny
from tests.helpers.tiny_models import bert_vocabulary, save_tiny_bert, save_tiny_tokenizer, save_tiny_vit

Weights = dict[str, torch.Tensor]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny_bert(tmp_path / "bert")


def change_weights(folder: Path, change: Callable[[Weights], Weights]) -> None:
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def without(*ends: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: t for name, t in weights.items() if not name.endswith(ends)}


def prefixed(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {prefix + name: t for name, t in weights.items()}


def nan(weights: Weights) -> Weights:
    weights["bert.encoder.layer.1.output.dense.bias"][3] = torch.nan
    return weights


DIFFERENCES = {
    "the head": (without("classifier.weight"), "1 missing: classifier.weight"),
    "one layer": (lambda w: {k: t for k, t in w.items() if ".layer.1." not in k}, "16 missing: bert.encoder.layer.1"),
    "all biases": (without("bias"), "missing"),
    "norms": (without("LayerNorm.weight", "LayerNorm.bias"), "missing"),
    "data parallel": (prefixed("module."), "model.module.save_pretrained"),
    "compiled": (prefixed("_orig_mod."), "model._orig_mod.save_pretrained"),
    "adapter": (prefixed("base_model.model."), "merge_and_unload"),
    "training module": (prefixed("model."), "module.model.save_pretrained"),
    "a layer too many": (lambda w: w | {"bert.encoder.layer.2.output.dense.bias": torch.zeros(32)}, "1 unexpected"),
    "low rank": (lambda w: w | {"bert.encoder.layer.0.output.dense.lora_A.weight": torch.zeros(2, 32)}, "merge_and_unload"),
    "three classes": (lambda w: w | {"classifier.weight": torch.zeros(3, 32)}, r"classifier.weight \(3, 32\) for \(2, 32\)"),
    "not a number": (nan, "NaN or infinite\ngot: bert.encoder.layer.1.output.dense.bias"),
    "quantised": (lambda w: w | {"classifier.weight": torch.zeros(2, 32, dtype=torch.int8)}, "quantised"),
    "8 bit floats": (lambda w: w | {"classifier.weight": w["classifier.weight"].to(torch.float8_e4m3fn)}, "quantised"),
    "bitsandbytes": (lambda w: w | {"bert.encoder.layer.0.output.dense.SCB": torch.zeros(32)}, "quantised"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_weights_that_are_not_the_models_are_named(folder, name):
    change, message = DIFFERENCES[name]
    change_weights(folder, change)
    with pytest.raises(InvalidInputError, match=message):
        load_model(folder)


def lfs(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")


def torn(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def half_a_header(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:50])


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def newer_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model": {"type": "Next"}}))


def pointer_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "pointer": (lfs, "git lfs pull"),
    "torn": (torn, "is torn"),
    "half a header": (half_a_header, "is torn"),
    "empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "is torn"),
    "no tokenizer": (no_tokenizer, "tokenizer"),
    "newer tokenizer": (newer_tokenizer, "the tokenizer"),
    "tokenizer pointer": (pointer_tokenizer, "git lfs pull"),
    "adapter": (lambda f: (f / "adapter_config.json").write_text("{}"), "merge_and_unload"),
    "distributed": (lambda f: (f / "shard-00001-model-00001-of-00001.safetensors").write_bytes(b""), "not clear which weights"),
    "other file": (lambda f: change_config(f, transformers_weights="x.safetensors"), "not clear which weights"),
    "quantisation": (lambda f: change_config(f, quantization_config={"quant_method": "bitsandbytes"}), "quantised"),
    "kernels": (lambda f: change_config(f, _attn_implementation="someone/kernels"), "kernels from elsewhere"),
    "broken config": (lambda f: (f / "config.json").write_text('{"model_type": "be'), "config.json cannot be read"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), "not an object"),
    "deep": (lambda f: (f / "config.json").write_text("[" * 100_000), "config.json cannot be read"),
    "wrong type": (lambda f: change_config(f, hidden_size="wide"), "config.json"),
    "other sizes": (lambda f: change_config(f, intermediate_size=65), "of another shape"),
    "heads": (lambda f: change_config(f, num_attention_heads=5), "cannot be built|cannot read"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_folders_are_refused(folder, name):
    damage, message = DAMAGE[name]
    damage(folder)
    with pytest.raises(InvalidInputError, match=message):
        load_model(folder)


CLAIMS: dict[str, dict[str, object]] = {
    "layers": {"num_hidden_layers": 100_000},
    "more layers": {"num_hidden_layers": 10**9},
    "classes": {"num_labels": 2_000_000, "id2label": None, "label2id": None},
    "named classes": {"id2label": {str(i): str(i) for i in range(200_000)}},
    "positions": {"max_position_embeddings": 10**12},
    "vocabulary": {"vocab_size": 10**11},
    "width": {"hidden_size": 2**24, "num_attention_heads": 4},
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_the_weights_cannot_hold_is_never_built(folder, claim):
    load_model(folder, device="cpu")  # what is imported once does not count
    change_config(folder, **CLAIMS[claim])
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(InvalidInputError, match=r"config\.json|of another shape"):
            load_model(folder)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("dtype", "device", "message"), [("fp16", "cpu", "float32, float64"), ("float32", "gpu", "allowed: auto")]
)
def test_unknown_types_and_devices(folder, dtype, device, message):
    with pytest.raises(InvalidInputError, match=message):
        load_model(folder, dtype=dtype, device=device)


def test_a_device_that_is_not_there(folder):
    with pytest.raises(InvalidInputError, match="no such device"):
        load_model(folder, device=f"cuda:{torch.cuda.device_count()}")


@pytest.mark.parametrize("name", CASES)
def test_every_family_is_loaded_as_transformers_loads_it(name, tmp_path):
    """The other way: transformers' own loader, on the model's own inputs."""
    model = tiny(name).float()
    model.save_pretrained(tmp_path)
    image = FAMILIES[name].modality == "image"
    if image:
        save_tiny_vit_processor(tmp_path)
    else:
        save_tiny_tokenizer(tmp_path)
    inputs = {"pixel_values": torch.rand(2, 3, 16, 16)} if image else {"input_ids": torch.tensor([[2, 9, 30, 3]])}
    auto = tf.AutoModelForImageClassification if image else tf.AutoModelForSequenceClassification
    expected = auto.from_pretrained(tmp_path)(**inputs).logits
    loaded, _ = load_model(tmp_path, device="cpu")
    assert not any(module.training for module in loaded.modules())
    torch.testing.assert_close(loaded(**inputs).logits, expected)


def save_tiny_vit_processor(folder: Path) -> None:
    tf.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)


def test_poolers_that_no_head_reads_are_no_difference(tmp_path):
    """As older RoBERTa checkpoints have them; and the position ids that older models kept."""
    tiny("roberta").float().save_pretrained(tmp_path)
    save_tiny_tokenizer(tmp_path)
    before = load_model(tmp_path, device="cpu")[0]
    extra = {
        "roberta.pooler.dense.weight": torch.ones(32, 32),
        "roberta.embeddings.position_ids": torch.arange(64)[None],
    }
    change_weights(tmp_path, lambda w: w | extra)
    after = load_model(tmp_path, device="cpu")[0]
    ids = torch.tensor([[2, 9, 30, 3]])
    torch.testing.assert_close(before(ids).logits, after(ids).logits)


def test_shards_are_one_checkpoint(folder):
    model, tokenizer = load_model(folder, device="cpu")
    expected = explain(model, tokenizer, "a good film")[0].logits
    model.save_pretrained(folder, max_shard_size="20KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    assert len(read_checkpoint(folder).files) > 1
    assert explain(*load_model(folder, device="cpu"), "a good film")[0].logits.tolist() == expected.tolist()
    index = folder / "model.safetensors.index.json"
    stated = json.loads(index.read_text())
    stated["weight_map"] = {k: v for k, v in stated["weight_map"].items() if "00001-" in v}
    index.write_text(json.dumps(stated))
    with pytest.raises(InvalidInputError, match="missing"):
        load_model(folder)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_are_converted_and_said(folder, dtype, caplog):
    change_weights(folder, lambda w: {k: t.to(dtype) for k, t in w.items()})
    with caplog.at_level("INFO", logger="calig"):
        model, _ = load_model(folder, device="cpu")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    saved = str(dtype).removeprefix("torch.")
    assert read_checkpoint(folder).stored == (saved,)
    assert caplog.messages == [f"weights saved in {saved} are computed in float32"]


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq", "fp8", "compressed-tensors", "quanto"])
def test_every_quantisation_is_refused_with_the_way_out(folder, method):
    change_config(folder, quantization_config={"quant_method": method, "load_in_8bit": True})
    with pytest.raises(InvalidInputError, match=f"(?s)quantised.*{method}.*before quantisation, or dequantise"):
        load_model(folder)


@pytest.mark.parametrize("packed", ["weights", "settings"])
def test_a_quantised_object_is_refused_too(folder, packed):
    model, tokenizer = load_model(folder, device="cpu")
    if packed == "settings":
        model.config.quantization_config = {"quant_method": "gptq"}
    else:
        layer = model.bert.encoder.layer[0].output.dense
        layer.weight = torch.nn.Parameter(torch.zeros(32, 64, dtype=torch.int8), requires_grad=False)
    with pytest.raises(InvalidInputError, match=r"(?s)quantised.*dequantize"):
        explain(model, tokenizer, "a good film")


def test_classes_without_names_are_called_as_transformers_calls_them(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k not in {"id2label", "label2id"}}))
    assert load_model(folder, device="cpu")[0].config.id2label == {0: "LABEL_0", 1: "LABEL_1"}


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"]])
def test_another_number_of_names_than_classes(folder, names):
    change_config(folder, id2label=dict(enumerate(names)), label2id={})
    with pytest.raises(InvalidInputError, match=r"(?s)classifier.weight.*one name for each class"):
        load_model(folder)


def test_two_classes_of_one_name(folder):
    change_config(folder, id2label={"0": "same", "1": "same"}, label2id={"same": 0})
    model, tokenizer = load_model(folder, device="cpu")
    with pytest.raises(InvalidInputError, match="its own name"):
        explain(model, tokenizer, "a good film")


def test_an_old_vocabulary_file_is_converted(folder):
    """The tokenizer of BERT as it was saved before tokenizer.json: the same tokens and spans."""
    expected = load_model(folder, device="cpu")[1]
    no_tokenizer(folder)
    (folder / "vocab.txt").write_text("\n".join(bert_vocabulary()))
    converted = load_model(folder, device="cpu")[1]
    for text in ("the film is not good", "a dull, boring plot!"):
        got, wanted = (t(text, return_offsets_mapping=True) for t in (converted, expected))
        assert got["input_ids"] == wanted["input_ids"]
        assert got["offset_mapping"] == wanted["offset_mapping"]


def test_tokenizers_that_cannot_be_converted(folder, monkeypatch):
    no_tokenizer(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}))
    with pytest.raises(InvalidInputError, match=r"(?s)which characters a token covers.*ByT5Tokenizer.*PreTrainedTokenizerFast"):
        load_model(folder)
    (folder / "tokenizer_config.json").unlink()
    (folder / "spiece.model").write_bytes(b"a SentencePiece model")
    monkeypatch.setattr("calig.loading.find_spec", lambda name: None)
    with pytest.raises(InvalidInputError, match=r"(?s)SentencePiece.*spiece.model.*save_pretrained"):
        load_model(folder)


def test_headers_alone_are_compared_without_the_weights(folder):
    """The file has the right length and holds nothing: no byte of the weights is read."""
    check_weights(folder, "text", read_checkpoint(folder))
    change_config(folder, intermediate_size=65)
    with pytest.raises(InvalidInputError, match=r"intermediate.dense.bias \(64,\) for \(65,\)"):
        check_weights(folder, "text", read_checkpoint(folder))


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    tokenizer = tf.AutoTokenizer.from_pretrained(save_tiny_tokenizer(tmp_path))
    with pytest.raises(InvalidInputError, match="not this model's"):
        check_vocabulary(tokenizer, 50)
    check_vocabulary(tokenizer, len(tokenizer))
    tokenizer.add_tokens(["unseen"])
    check_vocabulary(tokenizer, len(tokenizer) - 1)


def test_an_image_model_without_its_processor(tmp_path):
    folder = save_tiny_vit(tmp_path)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(InvalidInputError, match="image processor"):
        load_model(folder)


def test_a_model_knows_where_it_came_from(tmp_path: Path) -> None:
    """As after `from_pretrained`: MLflow asks a hub for the card of a model without a name, and waits for the network."""
    folder = save_tiny_bert(tmp_path / "bert")
    model, _ = load_model(folder)
    assert model.name_or_path == model.config.name_or_path == str(folder)
