"""Which words are known, and where they are put."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calig.words import word_spans
from components.common.errors import InputError
from components.probe import choose_contexts, context_candidates, count_words, known_words
from components.probe.contexts import Candidates, with_gap
from components.probe.vocabulary import whole_words
from tests.helpers.tiny_models import WORDS, save_tiny_tokenizer


def wordpiece(folder: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(save_tiny_tokenizer(folder))


def byte_level(texts: list[str]):
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=340, special_tokens=["<s>"])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, additional_special_tokens=["<s>"])


def test_whole_words_of_wordpiece_are_its_words_and_marks_without_pieces(tmp_path):
    words = whole_words(wordpiece(tmp_path))
    assert set(WORDS) <= set(words)
    assert "!" in words
    assert not [word for word in words if word.startswith(("##", "["))]
    assert "ing" not in words, "a piece is no word"


def test_whole_words_of_byte_level_bpe_are_those_with_a_blank_before_them():
    words = whole_words(byte_level(["the film was splendid and the plot was splendid too"] * 30))
    assert {"the", "film", "splendid", "plot"} <= set(words)
    assert "<s>" not in words
    assert all(word.isprintable() and "\ufffd" not in word for word in words), "no halves of characters"


def test_listed_words_come_first_then_the_data_sets_and_the_limit_says_how_many_are_left_out(tmp_path):
    tokenizer = wordpiece(tmp_path)
    known = known_words([tokenizer, tokenizer], data_words=["btw", "Unseen"], listed=["xq", "", "xq "], limit=10_000)
    everything = known.words
    assert everything[:3] == ["xq", "btw", "unseen"], "folded: this tokenizer does not tell cases apart"
    assert len(everything) == len(set(everything))
    assert known.n_left_out == 0
    few = known_words([tokenizer], data_words=["btw", "Unseen"], listed=["xq"], limit=5)
    assert few.words == everything[:5]
    assert few.n_left_out == len(everything) - 5
    assert [(s.name, s.n_known, s.n_probed) for s in few.sources[:2]] == [("word list", 1, 1), ("data set", 2, 2)]
    assert sum(source.n_known for source in few.sources) == len(everything)
    assert sum(source.n_probed for source in few.sources) == 5


def of_many_languages():
    """Every word one token, listed as a multilingual vocabulary lists them: the languages mixed."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = ["[UNK]", "фильм", "không", "film", "映画", "über", "42", "plot", "🙂", "सदा", "story", "кино"]
    unknown = {"unk_token": words[0]}
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, **unknown))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **unknown)


def test_words_in_the_datas_letters_come_first_then_its_scripts_then_others_and_the_counts_say_so():
    data = ["film", "lost", "history", "pay"]
    known = known_words([of_many_languages()], data_words=data, limit=10)
    assert known.words[:4] == data
    assert known.words[4:8] == ["42", "plot", "🙂", "story"], "digits and emoji belong to every language"
    assert known.words[8:] == ["không", "über"], "Latin, in letters that the data set lacks"
    assert [(s.name, s.n_known, s.n_probed) for s in known.sources] == [
        ("data set", 4, 4),
        ("vocabularies, the data's letters", 4, 4),
        ("vocabularies, its scripts", 2, 2),
        ("vocabularies, other scripts", 4, 0),
    ]
    assert known.n_left_out == 4
    assert known_words([of_many_languages()], data_words=["кино", "фильм"], limit=30).words[2:5] == ["42", "🙂", "không"]


def test_without_a_data_set_the_vocabulary_keeps_its_order():
    words = known_words([of_many_languages()], limit=30).words
    assert words == ["42", "🙂", "фильм", "không", "film", "映画", "über", "plot", "सदा", "story", "кино"]


def test_two_vocabularies_are_cut_alike(tmp_path):
    bpe = byte_level(["splendid zebra giraffe"] * 30)
    words = known_words([wordpiece(tmp_path), bpe], limit=60).words
    assert sum(word in WORDS for word in words) > 20
    assert sum(word in whole_words(bpe) and word not in whole_words(wordpiece(tmp_path)) for word in words) > 1


def test_a_data_set_counts_rows_not_occurrences():
    assert count_words(["Good, good film", "a film"])["good"] == 1
    assert count_words(["Good, good film", "a film"])["film"] == 2


def test_a_gap_at_the_end_is_before_the_closing_marks():
    assert with_gap("I like it!!", 1.0).filled("xq") == "I like it xq!!"
    assert with_gap("I like it", 0.0).filled("xq") == "xq I like it"
    assert with_gap("I like it", 0.5).filled("xq") == "I xq like it"
    assert with_gap("映画", 1.0).filled("xq") == "映画 xq"
    assert with_gap("!", 1.0).filled("xq") == "! xq"


def test_fragments_are_runs_of_three_to_six_words_of_their_row_without_repetition():
    texts = ["good", "a good film", "a good film", "it is a very good film, and the plot is fine", "word " * 60]
    found = context_candidates(texts, limit=100)
    assert found.rows == ("a good film", "it is a very good film, and the plot is fine")
    assert found.sample == (*found.rows, "word " * 60), "a long row says how firmly the model decides, too"
    usable = ["a good film", "it is a very good film, and the plot is fine", "word " * 60]
    assert all(fragment in usable[row] and 3 <= len(word_spans(fragment)) <= 6 for fragment, row in found.fragments.items())
    assert found == context_candidates(texts, limit=100)


def test_candidates_are_spread_over_all_rows():
    few = context_candidates([f"{word} one two three four five" for word in "abcdefgh"], limit=3)
    assert len(few.rows) <= 3
    assert len(few.fragments) <= 9
    assert {*few.fragments.values()} & {6, 7}, "the last rows count as much as the first"


def test_the_least_decided_texts_become_contexts_half_rows_half_fragments_unless_rows_are_too_few():
    margins = {
        "a b c": 3.0,
        "d e f": -0.1,
        "one two three": 3.0,
        "four five six": -0.1,
        "five six seven": 0.1,
        "seven eight nine": 0.2,
    }
    fragments = {"one two three": 0, "four five six": 1, "five six seven": 1, "seven eight nine": 2}

    def scorer(texts):
        return np.array([[0.0, margins[text]] for text in texts])

    contexts = choose_contexts(scorer, Candidates(("a b c", "d e f"), fragments), 3)
    assert [context.filled("|") for context in contexts] == ["d e f |", "| four five six", "seven | eight nine"]
    of_long_rows = choose_contexts(scorer, Candidates(("a b c",), fragments), 4)
    assert [context.filled("|") for context in of_long_rows] == [
        "a b c |",
        "| four five six",
        "seven | eight nine",
        "| one two three",
    ]
    with pytest.raises(InputError, match="too few texts"):
        choose_contexts(scorer, Candidates(("a b c",), fragments), 5)
    with pytest.raises(InputError, match="too few texts"):
        choose_contexts(scorer, Candidates((), {}), 2)
