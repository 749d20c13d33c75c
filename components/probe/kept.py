"""Scores kept per version, so that the next comparison scores only the new one."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from calig.metrics.perturbation import FloatArray
from components.common.errors import CouldNotRunError
from components.probe.effects import TextScorer, word_logits
from schemas.base import digest_of
from schemas.probe import ProbeContext

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
        part = self._path.with_suffix(f".{os.getpid()}.npz")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(part, words=np.array(list(known)), logits=np.stack(list(known.values())))
            part.replace(self._path)
        except OSError as error:
            raise CouldNotRunError("the probe's scores could not be stored", got=error, next_step="check the disk") from error
