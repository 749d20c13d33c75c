"""DriftReport: paired comparison of one version's attributions with a reference version's, and what was decided."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from schemas.base import CheckVerdict, Direction, Interval, Record, Severity
from schemas.fusion import FusionSettings


class Threshold(Record):
    """A limit with its birth certificate: where it comes from, from how much data, when, set by whom."""

    name: str
    limit: float
    direction: str = Field(description="'above fires' or 'below fires'")
    severity: Severity
    source: str
    n_null: int | None = Field(default=None, description="pairs the null was measured on")
    date: str
    set_by: str


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
    """The paired change of one word's signed share of attribution, toward one class (METRICS.md, word shift)."""

    word: str
    toward: str = Field(description="class the share is counted toward")
    reference_share: float
    candidate_share: float
    shift: float = Field(description="mean paired change of the signed share; positive: more support than before")
    z: float
    p_value: float
    q_value: float = Field(description="Benjamini-Hochberg over all words tested")
    n: int = Field(description="examples in which the word occurs")
    fires: bool


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
    label: str | None
    reference_prediction: str
    candidate_prediction: str
    rank_agreement: float | None
    sign_flip: float | None
    words: tuple[DriftWord, ...]


class ReferenceIdentity(Record):
    """The version compared with."""

    name: str
    version: str
    alias: str | None = None
    run_id: str | None = None
    uri: str | None = Field(default=None, description="where the model can be fetched: models:/NAME/VERSION, folder, or hub id")
    method_fingerprint: str
    weights_digest: str
    accuracy: float | None = None


class ReferenceProfile(Record):
    """What a version leaves for its successors to be compared with: its identity, and where its attributions are."""

    identity: ReferenceIdentity
    dataset_digest: str
    labels: tuple[str, ...]
    fusion: FusionSettings = Field(description="a later version with fusion_coefficient: auto is explained with the same")
    tables: tuple[Path, ...] = Field(description="Parquet files in the form of schemas.attribution.SCHEMA")


class LayerProfile(Record):
    """Mean share of absolute attribution mass per layer (0 = embeddings), each summing to 1."""

    reference: tuple[float, ...]
    candidate: tuple[float, ...]
    distance: float = Field(description="Jensen-Shannon distance, base 2, 0..1")


class DriftReport(Record):
    """Did the reasons change, and may the version ship on that account?"""

    verdict: CheckVerdict
    reason: str = Field(description="one sentence for a release manager")
    reference: ReferenceIdentity | None = None
    n_paired: int = 0
    accuracy_change: float | None = Field(default=None, description="candidate minus reference, on the rows both explain")
    flipped: int = Field(default=0, description="examples whose predicted class changed")
    statistics: tuple[Statistic, ...] = ()
    word_shifts: tuple[WordShift, ...] = Field(default=(), description="the largest, strongest first")
    words_tested: int = 0
    layer_profile: LayerProfile | None = None
    worst: tuple[DriftExample, ...] = Field(
        default=(), description="same answer, different reason: the examples that changed most"
    )
    thresholds: tuple[Threshold, ...] = ()
    next_step: str = ""
