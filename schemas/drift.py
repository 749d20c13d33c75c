"""DriftReport: paired comparison of two versions' attributions. MonitorReport: two windows of data under one model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import CheckVerdict, Direction, Interval, Record, Threshold
from schemas.reference import ReferenceIdentity


class Statistic(Record):
    """One paired statistic over one slice of the examples."""

    name: str
    slice: str = Field(description="all, same answer, class=…, segment…")
    value: float | None = Field(description="mean over examples; None below the minimum n")
    interval: Interval | None = None
    direction: Direction
    n: int
    fires: bool = Field(default=False, description="beyond its threshold")
    definition: str


class WordShift(Record):
    """The paired change of what one word does, toward one class (deploy/docs/method.md); shares are there for reading."""

    word: str
    length: int = Field(default=1, description="words in it; above 1: a phrase")
    toward: str = Field(description="class the share is counted toward")
    reference_share: float
    candidate_share: float
    shift: float = Field(description="mean paired change of the signed share; positive: more support than before")
    reference_effect: float = Field(
        default=0.0, description="what an occurrence adds to the explained function, over the version's median |f(x) − f(x')|"
    )
    candidate_effect: float = Field(default=0.0, description="the same under the candidate")
    effect: float = Field(default=0.0, description="mean paired change of the effect: what the word is judged by")
    turned: float | None = Field(
        default=None,
        description="share of the examples with the word whose margin under the reference is smaller than the change of the "
        "effect: answers that it could turn; None: not known",
    )
    standard_error: float | None = Field(default=None, description="of the change of the effect, with its floor")
    z: float = Field(description="change of the effect over its standard error; in records before the effect: of the share")
    p_value: float
    q_value: float = Field(description="Benjamini-Hochberg over all tests: words and phrases x classes x segments")
    n: int = Field(description="examples in which the word occurs")
    slice: str = Field(default="all", description="all, class = … (the reference's prediction), or a segment")
    by_layer: tuple[float, ...] = Field(
        default=(), description="its shift in each layer's own attribution, 0 the embeddings; for words that fire"
    )
    fires: bool
    warns: bool = Field(default=False, description="does not fire, but is beyond the limits of a warning")

    @property
    def gravity(self) -> int:
        """2: it fires, 1: it warns, 0: it is within all limits."""
        return 2 * self.fires + self.warns


class DriftWord(Record):
    """A word of one example under both versions; shares are signed and sum to at most 1 in absolute value."""

    text: str
    start: int
    end: int
    reference: float
    candidate: float


class DriftExample(Record):
    """An example whose reasons changed, word by word."""

    id: str
    text: str
    pair_start: int | None = Field(default=None, description="where in `text` the second text of a pair begins")
    label: str | None
    toward: str = Field(default="", description="class that the shares count toward; empty: not recorded")
    opposite: str | None = Field(default=None, description="class that they count toward when turned; None: they cannot be")
    reference_prediction: str
    candidate_prediction: str
    rank_agreement: float | None
    sign_flip: float | None
    words: tuple[DriftWord, ...]


class ChangedSlice(Record):
    """The slice of the examples in which the reasons changed most, of all that were searched; it decides nothing."""

    conditions: tuple[str, ...] = Field(description="what its examples have in common: segment, class, length, set of words")
    n: int
    reason_change: float = Field(description="mean over its examples of half the L1 distance of the words' shares, 0..1")
    elsewhere: float = Field(description="the same over all other examples")
    z: float = Field(description="its mean less the mean of all, over the error of a random draw of as many examples")
    p_value: float = Field(description="chance that some slice of the search reaches this z when none differs (permutations)")
    searched: int = Field(description="slices that were looked at")
    stands_out: bool = Field(description="whether p is at most 0.05")


class LayerProfile(Record):
    """Where in the network the attribution sits and where it changed, per layer (0 = embeddings)."""

    reference: tuple[float, ...] = Field(description="mean share of absolute attribution mass; sums to 1")
    candidate: tuple[float, ...]
    distance: float = Field(description="Jensen-Shannon distance of the two, base 2, 0..1")
    rank_agreement: tuple[float | None, ...] = Field(
        default=(), description="mean Spearman of each layer's own word attributions; higher is better"
    )
    reason_change: tuple[float | None, ...] = Field(
        default=(), description="mean of half the L1 distance of each layer's own word shares, 0..1; lower is better"
    )
    largest: int | None = Field(default=None, description="first layer with the largest reason change: where it began")


class GlobalRanking(Record):
    """nDCG of global word attributions as Amazon SageMaker Clarify defines it; shown for comparison, decides nothing."""

    value: float = Field(description="nDCG over all words, 0..1; higher is better")
    floor: float = Field(description="what an order drawn at random is expected to get on these attributions")
    n_words: int


class Coverage(Record):
    """Which rows could be compared."""

    share: float = Field(description="compared rows over rows that either version explains; higher is better")
    n_compared: int
    only_reference: int = Field(default=0, description="explained by the reference alone")
    only_candidate: int = Field(default=0, description="explained by the candidate alone")
    no_common_class: int = Field(default=0, description="explained toward different targets, and not toward a common one")
    zero: int = Field(default=0, description="word attributions all zero, or not finite, under a version: they have no shares")

    @property
    def left_out(self) -> list[str]:
        """The rows that could not be compared, counted by reason."""
        reasons = (
            (self.only_reference, "explained by the reference alone"),
            (self.only_candidate, "explained by the candidate alone"),
            (self.no_common_class, "explained toward different targets"),
            (self.zero, "without any finite attribution on a word under one version"),
        )
        return [f"{n} {reason}" for n, reason in reasons if n]


class Power(Record):
    """What the comparison could have found: no finding is worth as much as was looked at."""

    tested_mass: float = Field(description="share of the attribution on words that occur often enough to be tested, 0..1")
    detectable_effect: float | None = Field(
        description="change of a word's effect that is found with 80 % chance, for half of the tested attribution"
    )
    rows_needed: int | None = Field(default=None, description="rows with which enough would be tested; None: enough is")


class SetNoise(Record):
    """How the words of a set moved between two versions, toward a class."""

    name: str
    toward: str
    words: int
    mean: float = Field(description="mean change of the words' effects, less the median of all other words")
    spread: float = Field(description="standard deviation of the words' changes, with its floor")


class SetShift(Record):
    """The change of what the words of a set do together, toward one class (deploy/docs/method.md)."""

    name: str
    toward: str
    words: int = Field(description="different words of the set in the compared rows")
    occurrences: int
    reference_effect: float | None = Field(default=None, description="mean effect of its words, over a typical decision")
    candidate_effect: float | None = None
    effect: float | None = Field(
        default=None, description="mean change of the words' effects, less the median of all other words; None: not tested"
    )
    correlation: float | None = Field(default=None, description="between its words' changes, that the error was inflated by")
    standard_error: float | None = None
    t: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = Field(default=None, description="times the sets and classes tested (Bonferroni)")
    strongest: tuple[str, ...] = Field(default=(), description="its words that changed most")
    detectable_effect: float | None = Field(default=None, description="change that is found with 80 % chance")
    words_needed: int | None = Field(
        default=None, description="different words with which enough would be seen; None: enough is, or no number would do"
    )
    verdict: CheckVerdict = Field(
        description="not_applicable: a built-in set without words enough; inconclusive: the operator's, or too little to see"
    )
    fires: bool = False


class NullPair(Record):
    """Two versions that differ by honest training alone, compared as the candidate is."""

    reference: str
    candidate: str
    n: int = Field(description="compared rows")
    word: str = Field(description="the word that came closest to firing")
    shift: float = Field(description="change of its share, for reading")
    effect: float = Field(default=0.0, description="change of its effect, over the median |f(x) − f(x')|")
    z: float
    excess: float = Field(description="factor on the minimum effects up to which that word would still fire; above 1 fires")
    rank_agreement: float | None
    sign_flip: float | None
    layer_distance: float | None
    further: dict[str, float | None] = Field(
        default={}, description="means of the other judged statistics, by the setting of their limit"
    )
    sets: tuple[SetNoise, ...] = Field(default=(), description="how the sets of words moved, from which their correlation is")

    def mean(self, setting: str) -> float | None:
        """The mean of the statistic that the limit `setting` judges; None: not known."""
        known = {"rank_agreement": self.rank_agreement, "sign_flip": self.sign_flip, **self.further}
        return known.get(setting)


class Noise(Record):
    """The noise floor in its layers: sampling, numerics, retraining."""

    sampling: str = Field(description="how chance in the choice of rows enters")
    numerics: float | None = Field(
        default=None,
        description="largest change of any word's effect when some rows are explained ten times as exactly; of its "
        "share in records before the effect",
    )
    numerics_rows: int = 0
    retraining: Literal["twins", "history", "prior"]
    pairs: tuple[NullPair, ...] = ()
    factor: float = Field(
        default=1.0, description="by which measured noise raises the minimum effects; at least 1, at most drift.noise_cap"
    )
    uncapped: float | None = Field(
        default=None, description="the factor that was measured, where the cap acted; None: it did not"
    )
    versions: tuple[ReferenceIdentity, ...] = Field(
        default=(), description="the twins or accepted versions that it was measured on, each with its record's digest"
    )
    skipped: tuple[str, ...] = ()


class PredictionChange(Record):
    """How far a regression's predictions moved, on the rows that both versions explain; in the unit of the output."""

    unit: float = Field(description="typical deviation of the reference's outputs: median distance from their median")
    mean: float = Field(description="candidate less reference; above 0 the candidate predicts more")
    median_absolute: float
    p95_absolute: float = Field(description="95th percentile of the absolute change")
    n: int
    moved: int = Field(description="rows whose prediction moved by more than half a unit: another answer")
    error_change: float | None = Field(
        description="candidate's less the reference's mean absolute error, on rows with a gold number; below 0 is better"
    )


class DriftReport(Record):
    """Did the reasons change, and may the version ship on that account?"""

    verdict: CheckVerdict
    reason: str = Field(description="one sentence for a release manager")
    reference: ReferenceIdentity | None = None
    n_paired: int = 0
    coverage: Coverage | None = None
    accuracy_change: float | None = Field(default=None, description="candidate minus reference, on the rows both explain")
    flipped: int = Field(default=0, description="examples whose predicted class changed; of a regression, see `moved`")
    prediction_change: PredictionChange | None = Field(default=None, description="None: classes are predicted, or not compared")
    statistics: tuple[Statistic, ...] = ()
    typical_decision: tuple[float, float] | None = Field(
        default=None,
        description="the units of effects, logits: the reference's median |f(x) − f(x')|, and as much on the "
        "candidate's scale, by the median ratio of the examples' absolute attribution; of a regression, both are the typical "
        "deviation of the reference's outputs, in their unit",
    )
    word_shifts: tuple[WordShift, ...] = Field(default=(), description="the largest, strongest first")
    words_tested: int = Field(default=0, description="word types with enough occurrences")
    tests: int = Field(default=0, description="words x classes x segments, and phrases x classes")
    phrase_shifts: tuple[WordShift, ...] = Field(
        default=(), description="phrases whose change no word in them explains, the strongest first"
    )
    phrases_tested: int = Field(default=0, description="phrases with enough occurrences, over all rows")
    set_shifts: tuple[SetShift, ...] = Field(default=(), description="sets of words tested together, the strongest first")
    most_changed: ChangedSlice | None = Field(default=None, description="None: no slice to search, or nothing changed")
    power: Power | None = Field(default=None, description="None: not judged, or made before it was recorded")
    layer_profile: LayerProfile | None = None
    ranking: GlobalRanking | None = None
    worst: tuple[DriftExample, ...] = Field(
        default=(), description="same answer, different reason: the examples that changed most"
    )
    noise: Noise | None = None
    thresholds: tuple[Threshold, ...] = ()
    next_step: str = ""


class Window(Record):
    """One window of data, as explained."""

    name: str
    digest: str = Field(description="SHA-256 over its rows")
    n_rows: int = Field(description="rows with attributions")
    n_zero: int = Field(default=0, description="of these, rows whose words have no attribution, or one that is not finite")
    predictions: dict[str, float] = Field(description="share of the rows per predicted class; empty for a regression")
    labels: dict[str, float] = Field(default_factory=dict, description="the same per gold class; empty without labels")


class WindowShift(Record):
    """How much another effect a word has in the later window; the windows are not paired.

    Effects are what one occurrence adds to the explained function, in typical decisions of the earlier window.
    """

    word: str
    toward: str = Field(description="class explained")
    share_before: float = Field(description="mean signed share of the attribution in the earlier window, for reading")
    share_now: float
    effect_before: float = Field(description="mean effect in the earlier window")
    effect_now: float
    effect: float = Field(description="the later mean less the earlier one; this is judged")
    z: float = Field(description="Welch's, with 0.02 added to the standard error")
    p_value: float
    q_value: float = Field(description="Benjamini-Hochberg over words x classes")
    n_before: int
    n_now: int
    fires: bool


class MixShift(Record):
    """Another mix of answers, predicted or gold ones: of classes, or of a regression's numbers."""

    name: str
    distance: float = Field(
        description="of the two mixes, 0..1: total variation, of numbers the largest distance of the distribution functions; "
        "lower is better"
    )
    p_value: float = Field(description="that both windows have one mix: chi-squared, of numbers Kolmogorov and Smirnov's test")
    n_before: int
    n_now: int
    fires: bool


class UnseenWords(Record):
    """Words of the later window that the earlier one does not contain: no evidence from there covers them."""

    types: int
    occurrences: float = Field(description="their share of all words, 0..1")
    mass: float = Field(description="their mean share of the absolute attribution, 0..1; lower is better")
    heaviest: tuple[tuple[str, float, int], ...] = Field(description="word, its part of that mass, rows; largest first")
    fires: bool


class MonitorReport(Record):
    """Do the reasons that were validated still hold on the data that comes in?"""

    schema_version: Literal["2"] = "2"
    verdict: CheckVerdict
    reason: str = Field(description="one sentence for whoever is on call")
    model: ReferenceIdentity
    before: Window | None = None
    now: Window | None = None
    typical_decision: float | None = Field(
        default=None, description="median |f(x) − f(x')| of the earlier window, in logits: the unit of effects"
    )
    words_tested: int = 0
    word_shifts: tuple[WindowShift, ...] = Field(default=(), description="the largest, strongest first")
    unseen: UnseenWords | None = None
    mixes: tuple[MixShift, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    next_step: str = ""
