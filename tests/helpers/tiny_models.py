"""Tiny seeded models saved as real transformers folders: what every test that needs a model starts from."""

from __future__ import annotations

from pathlib import Path

#: Lower-case words the tiny tokenizers know whole; other words fall apart into letters, so every ASCII text has tokens.
_TEXT = (
    "a an the and but or not this that it is was were very so too film movie plot story acting actor scene "
    "good great fine warm funny bright brilliant moving bad poor dull cold boring awful weak "
    "never always really hardly quite rather btw i we you they"
)
WORDS = tuple(_TEXT.split())
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_PUNCTUATION = ".,!?'\"-:;()"
_SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}


def bert_vocabulary() -> list[str]:
    """The tiny tokenizer's tokens in id order: special ones, words, punctuation, letters, letters inside words."""
    inside = [f"##{letter}" for letter in _LETTERS] + ["##s", "##ing", "##ed"]
    return list(dict.fromkeys([*_SPECIAL.values(), *WORDS, *_PUNCTUATION, *_LETTERS, *inside]))


def save_tiny_tokenizer(folder: Path, *, max_length: int = 64, lowercase: bool = True) -> Path:
    """Save a WordPiece tokenizer into `folder`; without `lowercase` it knows no capitals, which become [UNK]."""
    from tokenizers import Tokenizer
    from tokenizers.decoders import WordPiece as WordPieceDecoder
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: index for index, token in enumerate(bert_vocabulary())}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=_SPECIAL["unk_token"]))
    tokenizer.normalizer = BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.decoder = WordPieceDecoder()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **_SPECIAL,
    )
    fast.save_pretrained(folder)
    return folder


def save_tiny_bert(
    folder: Path, seed: int = 0, labels: tuple[str, ...] = ("NEG", "POS"), *, layers: int = 2, max_length: int = 64
) -> Path:
    """Save a seeded BERT classifier (hidden 32) with its tokenizer; weights are large enough for logits that differ by row."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=len(bert_vocabulary()),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=max_length,
        initializer_range=0.2,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    return save_tiny_tokenizer(folder, max_length=max_length)


def save_tiny_vit(
    folder: Path, seed: int = 0, labels: tuple[str, ...] = ("CIRCLE", "SQUARE"), *, layers: int = 2, image_size: int = 32
) -> Path:
    """Save a seeded ViT classifier (hidden 32, 8 x 8 patches) with its image processor."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=image_size,
        patch_size=8,
        initializer_range=0.2,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ViTForImageClassification(config).eval()
    model.save_pretrained(folder)
    return _save_image_processor(folder, image_size)


def _save_image_processor(folder: Path, image_size: int) -> Path:
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    ViTImageProcessorPil(size={"height": image_size, "width": image_size}).save_pretrained(folder)
    return folder
