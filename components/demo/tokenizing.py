"""From reviews to token ids: a WordPiece tokenizer built from them, the same one every time, and training examples."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from components.demo.reviews import LABELS, Review

if TYPE_CHECKING:
    from transformers import BertTokenizer

Encoded = dict[str, Any]
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


def encode(rows: Sequence[Review], tokenizer: BertTokenizer) -> list[Encoded]:
    """Per row its token ids (seq), attention mask (seq) and label index."""
    encoded = tokenizer([review.text for review in rows], truncation=True, return_token_type_ids=False)
    return [
        {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": LABELS.index(review.label)}
        for ids, review in zip(encoded["input_ids"], rows, strict=True)
    ]


def encode_masked(rows: Sequence[Review], tokenizer: BertTokenizer, *, share: float, seed: int) -> list[Encoded]:
    """The rows encoded, `share` (0..1) of them with a random part of their content tokens, none to all, behind [MASK].

    A model that has never seen [MASK] gives arbitrary logits for the baseline input and for every perturbed one.
    """
    rng = random.Random(f"masks-{seed}")  # noqa: S311 - not a secret
    return [_masked(row, tokenizer, rng) if rng.random() < share else row for row in encode(rows, tokenizer)]


def _masked(row: Encoded, tokenizer: BertTokenizer, rng: random.Random) -> Encoded:
    share = rng.random()
    first, *content, last = row["input_ids"]
    hidden = [tokenizer.mask_token_id if rng.random() < share else token for token in content]
    return row | {"input_ids": [first, *hidden, last]}
