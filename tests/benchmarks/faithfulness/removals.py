"""Ways of removing what a method ranks first: who leads by one of them alone leads by what it makes of the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calig.inputs import EncodedInput
from calig.metrics.perturbation import BoolArray, ImageSource, IntArray, PerturbedText, Source, TextSource
from schemas.release import Example

#: The removal that the product scores by, and the others. Texts: a token in its place, out of the attention mask, or a token of
#: another row in its place; pictures: black, or blurred.
REPLACED, DELETED, RESAMPLED, BLURRED = "replaced", "deleted", "resampled", "blurred"
ALL = (REPLACED, DELETED, RESAMPLED, BLURRED)


@dataclass(frozen=True, eq=False)
class ResampledText:
    """A text of which removed tokens become `drawn` ones, `seq`: words that the data has, where a mask may be out of it."""

    input_ids: IntArray
    content: BoolArray
    drawn: IntArray

    @property
    def n_content(self) -> int:
        """Tokens that can be removed."""
        return int(self.content.sum())

    def without(self, removed: BoolArray) -> PerturbedText:
        """The input with other tokens at the content marked in `removed` (`content`)."""
        gone = np.zeros(len(self.input_ids), dtype=bool)
        gone[self.content] = removed
        return PerturbedText(np.where(gone, self.drawn, self.input_ids), original_ids=self.input_ids)


@dataclass(frozen=True, eq=False)
class Removals:
    """What every row of a set is perturbed with: the token that replaces others, all rows' content tokens, removals wanted."""

    replacement_id: int | None
    pool: IntArray
    wanted: tuple[str, ...] = ALL

    @classmethod
    def of(cls, rows: Sequence[EncodedInput], replacement_id: int | None, wanted: tuple[str, ...] = ALL) -> Removals:
        """Of a set's rows; of pictures the pool is empty."""
        pool = [np.array(row.input_ids, dtype=np.int64)[np.array(row.content)] for row in rows if row.input_ids]
        return cls(replacement_id, np.concatenate(pool) if pool else np.empty(0, dtype=np.int64), wanted)

    def of_row(self, example: Example, encoded: EncodedInput) -> dict[str, Source | ResampledText]:
        """The row's sources by removal, of those wanted."""
        return {name: source for name, source in self._of_row(example, encoded).items() if name in self.wanted}

    def _of_row(self, example: Example, encoded: EncodedInput) -> dict[str, Source | ResampledText]:
        content = np.array(encoded.content)
        if example.image is not None:
            n = int(content.sum())
            return {REPLACED: ImageSource(example.image, n), BLURRED: ImageSource(example.image, n, fill="blur")}
        if self.replacement_id is None:
            raise SystemExit("the benchmark's text models need a mask or a padding token")
        ids = np.array(encoded.input_ids, dtype=np.int64)
        drawn = np.random.default_rng(example.row).choice(self.pool, size=len(ids))
        return {
            REPLACED: TextSource(ids, content, self.replacement_id),
            DELETED: TextSource(ids, content, self.replacement_id, deletes=True),
            RESAMPLED: ResampledText(ids, content, drawn),
        }
