"""ProbeReport: the reasons that the validation set cannot show, found by putting every known word into a few contexts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from schemas.base import CheckVerdict, Record, Severity
from schemas.threshold import Threshold


class ProbeContext(Record):
    """A text with a gap: a word goes between `before` and `after`, which hold the blanks around it."""

    before: str
    after: str

    def filled(self, word: str) -> str:
        """The text with `word` in its gap."""
        return f"{self.before}{word}{self.after}"

    @property
    def shown(self) -> str:
        """For the report: the text with its gap marked."""
        return self.filled("[…]")


class PatchContext(Record):
    """A picture and where a pattern is pasted onto it: the pattern's centre as shares of height and width."""

    path: Path
    place: tuple[float, float]

    @property
    def shown(self) -> str:
        """For the report."""
        row, column = self.place
        return f"{self.path.name}, at {row:.0%} of the height and {column:.0%} of the width"


class ProbedWord(Record):
    """What one word does to the answer under both versions, in logits, relative to what words do in the same contexts.

    With two classes the margin is counted (logit of `toward` less the other's), with more each class's centred logit.
    """

    word: str
    toward: str = Field(description="class that the effects are counted toward; with two classes the one that gained")
    reference_effect: float = Field(
        description="change of the margin by the word, mean over the contexts, logits; with twins the mean of the "
        "reference and them"
    )
    candidate_effect: float = Field(description="the same under the candidate")
    shift: float = Field(
        description="candidate's effect less that of the reference and its twins, logits, relative to the median word's"
    )
    standard_error: float = Field(description="of the shift, over the contexts, logits")
    z: float = Field(
        description="shift over its noise: what honest retraining does (to this word, with twins; else to all) and standard error"
    )
    occurrences: int = Field(description="rows of the data set in which the word occurs; 0: the data set cannot show it")
    severity: Severity | None = Field(default=None, description="critical or warning beyond that limit; None within")


class WordSource(Record):
    """Where known words come from, and how many of them were probed. A word of several sources counts for the first."""

    name: str
    n_known: int = Field(ge=0)
    n_probed: int = Field(ge=0)


class ProbeReport(Record):
    """Did a word that the validation set may not contain become a reason?"""

    verdict: CheckVerdict
    reason: str = Field(description="one sentence for a release manager")
    words: tuple[ProbedWord, ...] = Field(default=(), description="the largest, strongest first")
    n_words: int = Field(default=0, description="words probed")
    n_left_out: int = Field(default=0, description="known words beyond probe.max_words, not probed")
    sources: tuple[WordSource, ...] = Field(
        default=(), description="where the words come from, in the order in which they are taken until probe.max_words is reached"
    )
    unit: Literal["word", "pattern"] = Field(default="word", description="what was probed: words in texts, patterns on pictures")
    contexts: tuple[str, ...] = Field(default=(), description="where the words or patterns were put")
    spread: float | None = Field(
        default=None,
        description="what noise does to the words at large, root mean square, logits: among the twins, or without "
        "them of the shifts, the largest few left out",
    )
    detectable: float | None = Field(
        default=None,
        description="shift of a word of median noise, logits, that would be found with 80 % chance; None: not known",
    )
    n_null: int = Field(default=0, description="harmless pairs (twins, earlier versions) that the limits were measured on")
    uncapped: float | None = Field(
        default=None, description="times the supposed noise that the measured one was, where the cap acted; None: it did not"
    )
    measured_on: tuple[str, ...] = Field(default=(), description="the models that the noise was measured on")
    skipped: tuple[str, ...] = Field(
        default=(), description="models that the noise could not be measured on, each with its reason"
    )
    forward_passes: int = Field(default=0, description="texts scored in this run; scores kept from earlier runs cost none")
    thresholds: tuple[Threshold, ...] = ()
    next_step: str = ""
