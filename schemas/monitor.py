"""MonitorReport: two windows of data under one model, for instance production traffic against the validation set."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import CheckVerdict, Record
from schemas.reference import ReferenceIdentity
from schemas.threshold import Threshold


class Window(Record):
    """One window of data, as explained."""

    name: str
    digest: str = Field(description="SHA-256 over its rows")
    n_rows: int = Field(description="rows with attributions")
    n_zero: int = Field(default=0, description="of these, rows whose words have no attribution, or one that is not finite")
    predictions: dict[str, float] = Field(description="share of the rows per predicted class")
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
    """Another mix of classes: predicted ones, or gold ones."""

    name: str
    distance: float = Field(description="total variation distance of the two mixes, 0..1; lower is better")
    p_value: float = Field(description="chi-squared test that both windows have one mix")
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
