"""ProbeReport: effects of known words and of transformations of rows on the answers of both versions."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.base import CheckVerdict, Record, Severity, Threshold


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


#: Where in a text a word was judged: at all places together, or as the first word alone.
WordPlace = Literal["anywhere", "beginning"]


class ProbedWord(Record):
    """What one word does to the answer under both versions, in logits, relative to what words do in the same contexts.

    With two classes the margin is counted (logit of `toward` less the other's), with more each class's centred logit; of a
    regression its output, in its own unit.
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
    place: WordPlace = Field(
        default="anywhere", description="beginning: as the first word of a text alone, where it stood out more than anywhere"
    )
    severity: Severity | None = Field(default=None, description="critical or warning beyond that limit; None within")

    @property
    def sense(self) -> str:
        """For people: which way it moves the answer more than before."""
        return "toward" if self.shift > 0 else "away from"

    @property
    def where(self) -> str:
        """For people: empty, or the only place in a text that is meant."""
        return " as the first of a text" if self.place == "beginning" else ""


class ProbeRound(Record):
    """One round of the search over the vocabulary: words that entered it, and contexts they had been put into after it."""

    n_words: int = Field(ge=0)
    n_contexts: int = Field(ge=1)


class WordSource(Record):
    """Where known words come from, and how many of them were probed. A word of several sources counts for the first."""

    name: str
    n_known: int = Field(ge=0)
    n_probed: int = Field(ge=0)


class TransformationWords(Record):
    """The words that transformations of texts go by, as an operator's file lists them."""

    negations: dict[str, str] = Field(default={}, description="negation → what stands in its place; empty: it is left out")
    entities: dict[str, tuple[str, ...]] = Field(default={}, description="group → names that may stand for each other")

    @model_validator(mode="after")
    def _can_be_swapped(self) -> Self:
        seen: dict[str, str] = {}
        for group, names in self.entities.items():
            if len({name.casefold() for name in names}) < 2:
                raise ValueError(f"the group {group!r} needs two different names at least")
            for name in names:
                if seen.setdefault(name.casefold(), group) != group:
                    raise ValueError(f"{name!r} is in two groups, {seen[name.casefold()]!r} and {group!r}")
        if not all(word.strip() for word in [*self.negations, *seen]):
            raise ValueError("a word is empty")
        return self


class TransformedRows(Record):
    """What one transformation of the rows does to their answers under both versions, in typical decisions (median margins)."""

    name: str
    n: int = Field(description="rows that it applies to, each scored as it is and transformed")
    n_left_out: int = Field(description="rows that it does not apply to: no negation in them, a script without case …")
    toward: str = Field(description="what the change is counted toward, the most changed: a class, or the reference's answer")
    reference_effect: float | None = Field(
        default=None, description="what it does to the explained function, mean over the rows; with twins the mean of them too"
    )
    candidate_effect: float | None = Field(default=None, description="the same under the candidate")
    shift: float | None = Field(default=None, description="candidate's effect less the reference's, paired by row")
    standard_error: float | None = Field(default=None, description="of the shift, over the rows")
    noise: float | None = Field(default=None, description="what honest retraining does to the effect, standard deviation")
    z: float | None = Field(default=None, description="shift over noise and standard error together; None: fewer than 2 rows")
    p_value: float | None = Field(default=None, description="chance of such a z by noise alone, for this test alone")
    detectable: float | None = Field(
        default=None, description="size of a shift that fails a version (unmeasured noise: warns) with 80 % chance"
    )
    flips_reference_only: float | None = Field(
        default=None, description="share of the rows whose answer it changes under the reference and not under the candidate"
    )
    flips_candidate_only: float | None = Field(default=None, description="the reverse")
    severity: Severity | None = Field(default=None, description="critical or warning beyond that limit; None within")


class MetamorphicReport(Record):
    """Do the same changes of the rows (case, punctuation, negation, names, length, order) change the answers as before?"""

    verdict: CheckVerdict
    reason: str = Field(description="one sentence for a release manager")
    transformations: tuple[TransformedRows, ...] = Field(description="in the order of probe.transformations")
    n_rows: int = Field(description="rows that were transformed where they could be")
    n_tests: int = Field(default=0, description="transformations and directions that the level is shared by")
    freedom: float | None = Field(
        default=None, description="prior degrees of freedom of the noise, estimated over all tests; None: noise not measured"
    )
    measured_on: tuple[str, ...] = Field(default=(), description="the models that the noise was measured on")
    forward_passes: int = Field(default=0, description="texts scored in this run; scores kept from earlier runs cost none")
    thresholds: tuple[Threshold, ...] = ()
    next_step: str = ""


class ProbeLevel(Record):
    """The level that the probe of one version was held against, and the earlier versions that it follows from."""

    rule: Literal["none", "LORD++"] = Field(description="none: the configured level for every version")
    level: float = Field(description="chance that noise alone fails the version, over words and transformations; in force")
    configured: float = Field(description="probe.level: the level in force is never more")
    floor: float | None = Field(default=None, description="probe.level_floor: the level in force is never less; None: no rule")
    earlier: tuple[str, ...] = Field(
        default=(), description="earlier versions whose probe was judged, in the order of their first judged explanation"
    )
    failed: tuple[str, ...] = Field(default=(), description="those of them whose probe failed in that explanation")
    doubt: str = Field(default="", description="why the configured level is in force although a rule was asked for; else empty")

    @property
    def source(self) -> str:
        """Where the level comes from, for the limits' birth certificates."""
        if self.doubt:
            return f"the level is the configured one (probe.across_versions: lord could not be followed: {self.doubt})"
        if self.rule == "none":
            return "the same level for every version (probe.across_versions: none)"
        n = len(self.earlier)
        versions = f"{n} earlier version{'' if n == 1 else 's'}, {len(self.failed)} failed"
        bounds = f"between {self.floor:g} and {self.configured:g}"
        return f"the level is {self.rule}'s after {versions}; {bounds} (probe.across_versions)"


class ProbeReport(Record):
    """Did a word that the validation set may not contain become a reason, or a form that its rows do not have?"""

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
    rounds: tuple[ProbeRound, ...] = Field(
        default=(),
        description="rounds of the search: the strongest words go on to more contexts; one or none: all in all contexts",
    )
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
    level: ProbeLevel | None = Field(default=None, description="the level in force; None: not judged, or not recorded then")
    thresholds: tuple[Threshold, ...] = ()
    next_step: str = ""
    metamorphic: MetamorphicReport | None = Field(
        default=None, description="the rows transformed; None: probe.transformations is empty, or the rows are images"
    )
