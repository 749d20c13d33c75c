"""Effects of words on one version's answer: logits of every word in every context, less the mean of all; kept per version."""

from __future__ import annotations

import hashlib
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calig.metrics.perturbation import FloatArray, PerturbedText
from components.common.errors import CouldNotRunError
from components.common.outputs import typical_deviation
from components.common.whole_files import written_whole
from components.probe.pairs import columns_of
from schemas.base import digest_of
from schemas.probe import ProbeContext

#: Texts → logits `texts classes`. What both versions are to the probe; the order of the classes is the caller's.
TextScorer = Callable[[Sequence[str]], FloatArray]

#: Words scored at once: enough for full batches, few enough that progress is seen and memory stays small.
_WORDS_AT_ONCE = 256


def text_scorer(
    tokenizer: Any, logits: Callable[[Sequence[PerturbedText]], FloatArray], *, max_length: int | None = None
) -> TextScorer:
    """A TextScorer of a tokenizer and `TokenScorer.logits`; texts are cut at `max_length` tokens."""
    return lambda texts: logits(encoded(tokenizer, texts, max_length=max_length))


def encoded(tokenizer: Any, texts: Sequence[str], *, max_length: int | None = None) -> list[PerturbedText]:
    """Token ids of each text, or pair of texts, as the model gets them, special tokens included, cut at `max_length` tokens."""
    cut = {} if max_length is None else {"truncation": True, "max_length": max_length}
    first, second = columns_of(texts)
    if second is None:
        ids = tokenizer(first, return_attention_mask=False, verbose=False, **cut)["input_ids"]
        return [PerturbedText(np.array(row, dtype=np.int64)) for row in ids]
    of_pairs = tokenizer(first, second, return_attention_mask=False, verbose=False, **cut)
    types = of_pairs.get("token_type_ids") or [None] * len(first)
    return [
        PerturbedText(np.array(row, dtype=np.int64), token_types=None if of is None else np.array(of, dtype=np.int64))
        for row, of in zip(of_pairs["input_ids"], types, strict=True)
    ]


def word_effects(
    scorer: TextScorer, words: Sequence[str], contexts: Sequence[ProbeContext], *, progress: Callable[[int], None] | None = None
) -> FloatArray:
    """Effects `words contexts directions` in logits, see `effects_of`; `progress` gets the number of words just scored."""
    return effects_of(word_logits(scorer, words, contexts, progress=progress))


def word_logits(
    scorer: TextScorer, words: Sequence[str], contexts: Sequence[ProbeContext], *, progress: Callable[[int], None] | None = None
) -> FloatArray:
    """Logits `words contexts classes` of every word in every context."""
    parts = []
    for start in range(0, len(words), _WORDS_AT_ONCE):
        part = words[start : start + _WORDS_AT_ONCE]
        logits = scorer([context.filled(word) for word, context in product(part, contexts)])
        parts.append(logits.reshape(len(part), len(contexts), -1))
        if progress is not None:
            progress(len(part))
    return np.concatenate(parts)


def typical_margin(logits: FloatArray) -> float:
    """Median distance of the largest logit from the second over rows, `rows classes`: how firmly a version decides.

    Of a regression, `rows 1`, the typical deviation of its outputs: how far from the middle of them a row typically lies.
    """
    if logits.shape[-1] == 1:
        return typical_deviation(logits[:, 0])
    top = np.sort(logits, axis=-1)[:, -2:]
    return float(np.median(top[:, 1] - top[:, 0]))


def scales_of(typical: Sequence[float], n_classes: int) -> list[float]:
    """What each version's logits are multiplied by, so that all are on the reference's scale, the first of `typical`.

    A head's scale changes no class. A regression's is that of the number it predicts: it stays. A margin of 0 is left as
    it is: such versions are refused when they are compared.
    """
    return [1.0 if n_classes == 1 or margin <= 0 else typical[0] / margin for margin in typical]


def undecided(logits: FloatArray) -> NDArray[np.intp]:
    """The rows of `rows classes` logits, the least decided first: the smallest margin, of a regression nearest to the median."""
    if logits.shape[1] == 1:
        return np.argsort(np.abs(logits[:, 0] - np.median(logits[:, 0])), kind="stable")
    top = np.sort(logits, axis=1)[:, -2:]
    return np.argsort(top[:, 1] - top[:, 0], kind="stable")


def effects_of(logits: FloatArray) -> FloatArray:
    """Effects `words contexts directions` of logits `words contexts classes`: the margin with a word less a neutral one's."""
    return less_neutral(margins_of(logits))


def less_neutral(margins: FloatArray, at_large: NDArray[np.bool_] | None = None) -> FloatArray:
    """Margins `words contexts directions` less those of a neutral filler: the median over all words, in every context.

    No word has to be declared neutral, in whatever language. at_large: the words that stand for all, where the others were chosen
    by what they do; None: all do.
    """
    large = margins if at_large is None else margins[at_large]
    return np.asarray(margins - np.median(large, axis=0, keepdims=True))


def margins_of(logits: FloatArray) -> FloatArray:
    """Two classes have one direction, logit₁ − logit₀; more have one each, the class's logit less the mean of all.

    A regression has one, its output: nothing is taken from it.
    """
    if logits.shape[-1] == 1:
        return np.asarray(logits)
    if logits.shape[-1] == 2:
        return logits[..., 1:] - logits[..., :1]
    return np.asarray(logits - logits.mean(axis=-1, keepdims=True))


#: Characters of a SHA-256 in hex.
_DIGEST = 64


def _key(word: str) -> str:
    """A word itself; of a longer text its digest: the file's array of names is as wide as its longest."""
    return word if len(word) < _DIGEST else hashlib.sha256(word.encode()).hexdigest()


class KeptLogits:
    """Logits of words in `contexts` under one version, in a file named after both.

    Logits are kept as float32, which is what models give. A file that cannot be read, or whose checksums do not hold, is as
    good as none.
    """

    def __init__(self, folder: Path, *, version_digest: str, contexts: Sequence[ProbeContext]) -> None:
        self._contexts = contexts
        name = digest_of([version_digest, [context.model_dump() for context in contexts]])
        self._path = folder / f"{name[:32]}.npz"

    def missing(self, words: Sequence[str]) -> list[str]:
        """The words that have not been scored yet."""
        known = self._read()
        return [word for word in words if _key(word) not in known]

    def logits(self, scorer: TextScorer, words: Sequence[str], *, progress: Callable[[int], None] | None = None) -> FloatArray:
        """Logits `words contexts classes`; only the missing words are scored, and kept."""
        known = self._read()
        missing = [word for word in words if _key(word) not in known]
        if missing:
            scored = word_logits(scorer, missing, self._contexts, progress=progress)
            known |= dict(zip(map(_key, missing), scored.astype(np.float32), strict=True))
            self._write(known)
        return np.stack([known[_key(word)] for word in words]).astype(float)

    def _read(self) -> dict[str, np.ndarray]:
        try:
            with self._path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                return dict(zip(file["words"].tolist(), file["logits"], strict=True))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return {}

    def _write(self, known: dict[str, np.ndarray]) -> None:
        """Beside its place, then renamed: a reader sees all of it or what was there before."""
        try:
            with written_whole(self._path) as part, part.open("wb") as stream:
                np.savez_compressed(stream, words=np.array(list(known)), logits=np.stack(list(known.values())))
        except OSError as error:
            raise CouldNotRunError("the probe's scores could not be stored", got=error, next_step="check the disk") from error


_TIMED_WORDS = 32


def seconds_per_word(scorer: TextScorer, words: Sequence[str], contexts: Sequence[ProbeContext]) -> float:
    """Seconds that one word takes in all contexts, from the second of two passes over a few words spread over the list."""
    sample = words[:: max(1, len(words) // _TIMED_WORDS)][:_TIMED_WORDS]
    word_logits(scorer, sample[:2], contexts)  # the first pass of a runtime also sets it up
    started = time.perf_counter()
    word_logits(scorer, sample, contexts)
    return (time.perf_counter() - started) / len(sample)
