"""Users type `[SEP]`, `<pad>` or `</s>`: such tokens are content like any other, and x' differs from x in nothing else.

huggingface/tokenizers#725, huggingface/transformers#22490.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers as tf

from calig import explain
from calig.families import FAMILIES
from tests.helpers.tiny_families import CASES, tiny
from tests.helpers.tiny_models import save_tiny_tokenizer

TEXTS = ["a good [PAD] film", "[PAD] good film [PAD]", "good [SEP] film [CLS]", "good[MASK]film", "[SEP]"]


@pytest.mark.parametrize("baseline", ["mask", "mean"])
@pytest.mark.parametrize("name", [name for name in CASES if FAMILIES[name].modality == "text"])
def test_typed_special_tokens_are_content(tmp_path, name, baseline):
    tokenizer = tf.AutoTokenizer.from_pretrained(save_tiny_tokenizer(tmp_path))
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    model = tiny(name)
    with torch.no_grad():
        logits = [model(**tokenizer(text, return_tensors="pt")).logits[0].numpy() for text in TEXTS]
    for text, expected, result in zip(TEXTS, logits, explain(model, tokenizer, TEXTS, baseline=baseline), strict=True):
        exact = 1e-6 if name == "gemma2" else 1e-9  # its own softmax is float32 in any precision
        np.testing.assert_allclose(result.logits, expected, atol=exact)
        np.testing.assert_allclose(result.values.sum(), result.f_input - result.f_baseline, atol=1e-6)
        content = np.array(result.content)
        assert content.sum() == len(tokenizer.tokenize(text))
        assert np.abs(result.layer_attributions[0][~content]).max() < 1e-9  # what the template adds is equal in x and x'
        assert all(text[word.start : word.end] == word.text for word in result.words)
        assert sum(word.value for word in result.words) == pytest.approx(result.values[content].sum())
