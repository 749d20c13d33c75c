"""A tiny byte-level BPE tokenizer, as GPT-2 and RoBERTa have it: its tokens begin with the blank before a word."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.tiny_models import WORDS

_SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}


def save_byte_level_tokenizer(folder: Path, *, vocabulary: int = 110, max_length: int = 64) -> Path:
    """Save a tokenizer trained on the tiny words into `folder`; `vocabulary` keeps it within the tiny models' embeddings."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token=_SPECIAL["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted({*"abcdefghijklmnopqrstuvwxyzADFULNYT.,;!Ġ"})
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(_SPECIAL.values()), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=max_length, model_input_names=["input_ids", "attention_mask"], **_SPECIAL
    )
    fast.save_pretrained(folder)
    return folder
