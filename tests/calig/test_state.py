"""The caller's model comes back as it was: also after errors, from several threads, in any gradient mode, inside wrappers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers as tf
from torch import nn

from calig import InvalidInputError, UnsupportedModelError, explain
from calig.blocks import attributable
from tests.calig.conftest import TEXTS
from tests.helpers.tiny_families import tiny
from tests.helpers.tiny_models import save_tiny_tokenizer


@pytest.fixture
def tokenizer(tmp_path):
    made = tf.AutoTokenizer.from_pretrained(save_tiny_tokenizer(tmp_path))
    made.model_input_names = ["input_ids", "attention_mask"]
    return made


def state(model):
    return (
        [module.training for module in model.modules()],
        [parameter.requires_grad for parameter in model.parameters()],
        [parameter.detach().clone().tolist() for parameter in model.parameters()],
        model.config.to_dict(),
        model.config._attn_implementation,
        [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
    )


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_every_part_comes_back(tokenizer, fails, implementation):
    model = tiny("llama").train()
    model.model.layers[1].eval()  # a part kept in evaluation mode; the dropout of a part is MC dropout's other way round
    model.model.norm.weight.requires_grad_(False)
    model.set_attn_implementation(implementation)
    model.config.use_cache = True
    before = state(model)
    if fails:
        with pytest.raises(InvalidInputError):
            explain(model, tokenizer, ["a film", ""])
        with pytest.raises(RuntimeError, match="stop here"), attributable(model):
            raise RuntimeError("stop here")
    else:
        explain(model, tokenizer, TEXTS)
    assert state(model) == before


def test_a_failure_on_the_way_in_leaves_nothing(tokenizer, monkeypatch):
    model = tiny("bert").train()
    before = state(model)
    switch = model.set_attn_implementation

    def fail(name):
        switch(name)
        if name != before[4]:
            raise RuntimeError("no such kernel")

    monkeypatch.setattr(model, "set_attn_implementation", fail)
    with pytest.raises(RuntimeError, match="no such kernel"):
        explain(model, tokenizer, TEXTS[0])
    monkeypatch.undo()
    assert state(model) == before


def test_threads_on_one_model_take_turns(tokenizer):
    model = tiny("llama")
    model.config.use_cache = True
    before, expected = state(model), [result.values for result in explain(model, tokenizer, TEXTS)]
    start = threading.Barrier(3)

    def work(_):
        start.wait()
        return [[result.values for result in explain(model, tokenizer, TEXTS)] for _ in range(2)]

    with ThreadPoolExecutor(3) as pool:
        for results in pool.map(work, range(3)):
            for result in results:
                for got, wanted in zip(result, expected, strict=True):
                    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)
    assert state(model) == before


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", dtype=torch.bfloat16)])
def test_the_callers_mode_does_not_matter(tokenizer, mode):
    model = tiny("bert").float()
    expected = explain(model, tokenizer, TEXTS[0])[0]
    with mode():
        result = explain(model, tokenizer, TEXTS[0])[0]
        assert torch.is_grad_enabled() == (mode not in {torch.no_grad, torch.inference_mode})
    np.testing.assert_allclose(result.values, expected.values, rtol=1e-5, atol=1e-7)


def test_weights_made_in_inference_mode_are_refused(tokenizer):
    with torch.inference_mode():
        model = tiny("bert")
    with pytest.raises(InvalidInputError, match="load it outside"):
        explain(model, tokenizer, TEXTS[0])


@pytest.mark.parametrize("name", ["bert", "llama", "gpt2", "modernbert"])
def test_a_configuration_that_returns_tuples(name, tokenizer):
    model = tiny(name)
    expected = explain(model, tokenizer, TEXTS[0])[0]
    model.config.return_dict = False
    result = explain(model, tokenizer, TEXTS[0])[0]
    np.testing.assert_allclose(result.values, expected.values, rtol=1e-9)
    assert model.config.return_dict is False


class LowRank(nn.Module):
    """W x + B A x, as PEFT puts it in the place of a linear layer."""

    def __init__(self, base_layer):
        super().__init__()
        self.base_layer = base_layer
        self.lora_A = nn.Linear(base_layer.in_features, 2, bias=False).double()
        self.lora_B = nn.Linear(2, base_layer.out_features, bias=False).double()

    def forward(self, x):
        return self.base_layer(x) + self.lora_B(self.lora_A(x))


class AdapterSettings:
    def __init__(self, prompts):
        self.is_prompt_learning = prompts


class PeftLike(nn.Module):
    def __init__(self, base, prompts=False):
        super().__init__()
        self.base_model, self.peft_config = base, {"default": AdapterSettings(prompts)}

    def get_base_model(self):
        return self.base_model


@pytest.mark.parametrize("name", ["llama", "modernbert", "bert"])
def test_adapters_are_explained_with_their_model(name, tokenizer):
    """The oracle: the same weights merged into one matrix."""
    adapted, merged = tiny(name), tiny(name)
    for path, module in list(adapted.named_modules()):
        if path.endswith(("q_proj", "query", "Wqkv")):
            parent, _, child = path.rpartition(".")
            layer = LowRank(module)
            setattr(adapted.get_submodule(parent), child, layer)
            delta = (layer.lora_B.weight @ layer.lora_A.weight).detach()
            merged.get_submodule(path).weight.data += delta
    for text in TEXTS[:2]:
        got, expected = (explain(m, tokenizer, text, n_points=20)[0] for m in (PeftLike(adapted), merged))
        np.testing.assert_allclose(got.layers, expected.layers, rtol=1e-7, atol=1e-10)


def test_prompt_tuning_is_refused_by_name(tokenizer):
    with pytest.raises(UnsupportedModelError, match="prompt tuning cannot be attributed"):
        explain(PeftLike(tiny("llama"), prompts=True), tokenizer, TEXTS[0])


def test_training_wrappers_are_opened(tokenizer):
    model = tiny("bert")
    expected = explain(model, tokenizer, TEXTS[0])[0].values
    np.testing.assert_allclose(explain(nn.DataParallel(model), tokenizer, TEXTS[0])[0].values, expected, rtol=1e-12)
    compiled = type("OptimizedModule", (nn.Module,), {"_orig_mod": model})()  # what torch.compile returns, without compiling
    np.testing.assert_allclose(explain(compiled, tokenizer, TEXTS[0])[0].values, expected, rtol=1e-12)
