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
    predictions: dict[str, float] = Field(description="share of the rows per predicted class; empty for a regression")
    labels: dict[str, float] = Field(default_factory=dict, description="the same per gold class; empty without labels")


class WindowShift(Record):
    """How much another share of the attribution a word carries in the later window; the windows are not paired."""

    word: str
    toward: str = Field(description="class explained")
    before: float = Field(description="mean signed share in the earlier window")
    now: float
    shift: float
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

    schema_version: Literal["1"] = "1"
    verdict: CheckVerdict
    reason: str = Field(description="one sentence for whoever is on call")
    model: ReferenceIdentity
    before: Window | None = None
    now: Window | None = None
    words_tested: int = 0
    word_shifts: tuple[WindowShift, ...] = Field(default=(), description="the largest, strongest first")
    unseen: UnseenWords | None = None
    mixes: tuple[MixShift, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    next_step: str = ""
