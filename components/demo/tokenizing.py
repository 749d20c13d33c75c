"""Builds the demo's WordPiece tokenizer from training texts, the same one every time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import BertTokenizer

MAX_TOKENS = 128
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def build_tokenizer(texts: Iterable[str], *, min_count: int = 2) -> BertTokenizer:
    """An uncased BERT tokenizer in which a word seen at least `min_count` times is one token; others are spelled out.

    The vocabulary is counted, not trained with `tokenizers.WordPieceTrainer`: that one's token ids, and where counts tie
    even its tokens, differ from run to run, and a version could not be made again from its data and seed.
    """
    from transformers import BertTokenizer

    counts = _count_words(texts, BertTokenizer())
    words = sorted((word for word, count in counts.items() if count >= min_count), key=lambda word: (-counts[word], word))
    tokens = dict.fromkeys([*SPECIAL_TOKENS, *words, *_CHARACTERS, *(f"##{character}" for character in _CHARACTERS)])
    return BertTokenizer(vocab={token: index for index, token in enumerate(tokens)}, model_max_length=MAX_TOKENS)


def _count_words(texts: Iterable[str], empty: BertTokenizer) -> Counter[str]:
    """Words as the finished tokenizer will cut them: its own normalisation and word borders are used."""
    backend = empty.backend_tokenizer
    return Counter(
        word for text in texts for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))
    )
