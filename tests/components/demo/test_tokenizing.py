"""The demo's tokenizer: whole words for what it has seen, letters for the rest, offsets kept, the same every time."""

import subprocess
import sys

from components.demo.reviews import generate
from components.demo.training import SPECIAL_TOKENS, build_tokenizer, encode, encode_masked

ROWS = generate(600, seed=1)
TOKENIZER = build_tokenizer(review.text for review in ROWS)


def test_known_words_are_one_token_and_unknown_ones_are_spelled():
    assert TOKENIZER.tokenize("Honestly, the battery") == ["honestly", ",", "the", "battery"]
    assert TOKENIZER.tokenize("zebra") == ["z", "##e", "##b", "##r", "##a"]


def test_a_word_seen_once_is_not_learned():
    tokenizer = build_tokenizer(["the lamp hums", "the lamp glows"])
    assert tokenizer.tokenize("the lamp hums") == ["the", "lamp", "h", "##u", "##m", "##s"]


def test_special_tokens_come_first():
    assert tuple(TOKENIZER.convert_ids_to_tokens(list(range(5)))) == SPECIAL_TOKENS
    assert TOKENIZER.pad_token_id == 0


def test_no_review_has_unknown_tokens_and_offsets_point_at_words():
    for review in generate(50, seed=2):
        encoded = TOKENIZER(review.text, return_offsets_mapping=True)
        assert TOKENIZER.unk_token_id not in encoded["input_ids"]
        for token, (start, end) in list(zip(encoded.tokens(), encoded["offset_mapping"], strict=True))[1:-1]:
            assert review.text[start:end].lower() == token.removeprefix("##")


def test_vocabulary_does_not_depend_on_the_process():
    code = (
        "from components.demo.reviews import generate; from components.demo.training import build_tokenizer;"
        "print(build_tokenizer(review.text for review in generate(600, seed=1)).get_vocab()['honestly'])"
    )
    for hash_seed in ("1", "2"):
        done = subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": hash_seed}, capture_output=True, check=True)
        assert int(done.stdout) == TOKENIZER.get_vocab()["honestly"]


def test_masking_hides_content_only_and_keeps_labels():
    plain, masked = encode(ROWS, TOKENIZER), encode_masked(ROWS, TOKENIZER, share=0.5, seed=3)
    mask = TOKENIZER.mask_token_id
    changed = sum(mask in row["input_ids"] for row in masked)
    assert 0.4 < changed / len(ROWS) < 0.55
    for before, after in zip(plain, masked, strict=True):
        assert before["labels"] == after["labels"]
        assert (after["input_ids"][0], after["input_ids"][-1]) == (TOKENIZER.cls_token_id, TOKENIZER.sep_token_id)
        assert all(new in (old, mask) for old, new in zip(before["input_ids"], after["input_ids"], strict=True))


def test_no_share_masks_nothing():
    assert encode_masked(ROWS, TOKENIZER, share=0.0, seed=3) == encode(ROWS, TOKENIZER)
