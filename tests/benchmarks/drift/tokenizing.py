"""Tokenizers of the experiment's versions: uncased as in the demo, or cased, of a vocabulary as large as asked for."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable
from typing import Any

from components.demo.training import SPECIAL_TOKENS, build_tokenizer


def tokenizer_of(texts: Iterable[str], *, cased: bool, min_count: int, max_length: int) -> Any:
    """A BERT tokenizer in which a word seen at least `min_count` times is one token; others are spelled out."""
    made = _cased(texts, min_count) if cased else build_tokenizer(texts, min_count=min_count)
    made.model_max_length = max_length
    return made


def _cased(texts: Iterable[str], min_count: int) -> Any:
    """Words in capitals throughout are spelled out, as vocabularies made of natural texts do with nearly all of them."""
    from transformers import BertTokenizer

    cut = BertTokenizer(do_lower_case=False).backend_tokenizer.pre_tokenizer.pre_tokenize_str
    counts = Counter(word for text in texts for word, _ in cut(text) if len(word) == 1 or not word.isupper())
    words = sorted((word for word, count in counts.items() if count >= min_count), key=lambda word: (-counts[word], word))
    characters = string.ascii_letters + string.digits
    tokens = dict.fromkeys([*SPECIAL_TOKENS, *words, *characters, *(f"##{character}" for character in characters)])
    return BertTokenizer(vocab={token: index for index, token in enumerate(tokens)}, do_lower_case=False)
