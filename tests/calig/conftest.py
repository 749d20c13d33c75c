"""Tiny seeded models in float64, where numbers decide."""

import numpy as np
import pytest
import torch
import transformers as tf
from PIL import Image

from calig import load_model
from calig.families import FAMILIES
from tests.helpers.tiny_families import CASES, tiny
from tests.helpers.tiny_models import save_tiny_bert, save_tiny_tokenizer, save_tiny_vit

TEXTS = ["the film is not good", "a dull, boring plot but the acting is great", "great film !", "i hardly like it at all"]


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    save_tiny_bert(folder, layers=3)
    return load_model(folder, dtype="float64", device="cpu")


@pytest.fixture(scope="session")
def vit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vit")
    save_tiny_vit(folder)
    return load_model(folder, dtype="float64", device="cpu")


@pytest.fixture(scope="session")
def pictures():
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 255, (20, 20, 3), dtype=np.uint8)) for _ in range(3)]


@pytest.fixture
def tokenizer(tmp_path):
    return tf.AutoTokenizer.from_pretrained(save_tiny_tokenizer(tmp_path))


@pytest.fixture
def prepared(request, tokenizer, pictures):
    """(model, processor, one input) of the family asked for."""
    name = request.param
    if FAMILIES[name].modality == "image":
        processor = tf.ViTImageProcessor(size={"height": 16, "width": 16})
        return tiny(name), processor, pictures[0]
    names = ["input_ids", "token_type_ids", "attention_mask"] if CASES[name].token_types else ["input_ids", "attention_mask"]
    tokenizer.model_input_names = names
    return tiny(name), tokenizer, TEXTS[0]


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
