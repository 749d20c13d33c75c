"""Settings of quality and of the gate: how attribution quality is measured and judged, and what passes the gate beyond it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from schemas.base import Record

PerturbationSetting = Literal["auto", "replace", "delete", "zero", "blur"]


class QualityConfig(Record):
    """How attribution quality is measured and judged."""

    suite: str = Field(
        default="auto",
        description="expectation suite: auto (default for texts, vision for images), strict, or the path of a YAML file",
    )
    min_explained: float = Field(
        default=0.8, ge=0.0, le=1.0, description="rows with an attribution, as a share of the data set's; below: inconclusive"
    )
    expectation_modules: tuple[str, ...] = Field(
        default=(),
        description="modules that a suite may take expectations of your own from (type: module:Class): their code is run; beside "
        "those in CALIG_EXPECTATION_MODULES, separated by commas",
    )
    scorer: Literal["auto", "onnxruntime", "torch"] = Field(
        default="auto", description="runtime for perturbed inputs; auto: ONNX Runtime, or torch when the export fails (recorded)"
    )
    perturbation: PerturbationSetting = Field(
        default="auto",
        description="how content is removed to see what the model then answers; texts: replace (the baseline's token) or delete "
        "(from the attention mask); images: zero (black) or blur; auto: as the attribution baseline",
    )
    fractions: tuple[float, ...] = Field(
        default=(0.01, 0.05, 0.1, 0.2, 0.5), description="shares of tokens removed or kept for comprehensiveness and sufficiency"
    )
    scored_rows: int | None = Field(
        default=None,
        ge=30,
        description="rows, drawn by the seed, that are perturbed and scored: beyond some hundred the intervals hardly shrink and "
        "the time grows on; what needs no scoring is measured on all; empty: every row",
    )
    falsification_rows: int = Field(
        default=16, ge=0, description="rows, drawn by the seed, whose maps the run tries to falsify; 0 does not try"
    )
    falsification_points: int | None = Field(
        default=3,
        ge=1,
        le=63,
        description="points between x' and x on every path of these maps, the same for all of them, so that the error falls out "
        "of their differences; empty: as many as the run's own maps need, about three times as long",
    )
    sensitivity_draws: int = Field(default=10, ge=1, description="nudged inputs per row behind max-sensitivity")
    sensitivity_radius: float = Field(
        default=0.02,
        gt=0.0,
        description="largest nudge of an entry of the embeddings h⁰ (texts) or of a normalised pixel",
    )
    infidelity_draws: int = Field(default=32, ge=1, description="random sets of tokens removed per row for infidelity")
    random_draws: int = Field(default=5, ge=1, description="random orders averaged per row for the random control")
    bootstrap_draws: int = Field(default=1000, ge=100, description="resamples of the rows behind each confidence interval")
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0, description="coverage of the confidence intervals")
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="seed of all that is drawn: orders, sets, rows, nudges, fresh weights, resamples"
    )

    @field_validator("fractions")
    @classmethod
    def _rising_shares(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        if not fractions or any(not 0.0 < fraction < 1.0 for fraction in fractions):
            raise ValueError("fractions are shares between 0 and 1, both excluded: for 1, 5 and 10 % write [0.01, 0.05, 0.1]")
        if sorted(set(fractions)) != list(fractions):
            raise ValueError("fractions rise: each is larger than the one before")
        return fractions


Reference = Annotated[str, Field(pattern=r"^(champion|any|models:/[^/@:]+/[0-9]+)$")]
#: A name, or the first digits of a SHA-256.
Identity = Annotated[str, Field(min_length=1)]


class GateConfig(Record):
    """What `calig gate` asks for beyond a verdict of pass; what is not met is inconclusive. Part of no fingerprint."""

    max_age_days: float | None = Field(default=None, gt=0.0, description="an older explanation is inconclusive; empty: any age")
    settings: Literal["as strict", "any"] = Field(
        default="as strict",
        description="settings of the explanation: as strict as in this file (or the defaults), setting by setting; any: not "
        "compared",
    )
    dataset: Identity | None = Field(
        default=None,
        description="name of the data set, or 12 or more digits of its SHA-256, that has to be explained; empty: any",
    )
    min_rows: int | None = Field(default=None, ge=1, description="fewer explained rows are inconclusive; empty: any number")
    suite: Identity | None = Field(
        default=None,
        description="name of the suite that has to judge the quality, or 12 or more digits of its SHA-256; empty: the one of "
        "quality.suite, unless gate.settings is any",
    )
    reference: Reference = Field(
        default="champion",
        description="what the version has to be compared with: champion (what @champion is now, when there is one), a version "
        "(models:/NAME/VERSION), or any",
    )
    require_reference: bool = Field(
        default=False, description="a version that was compared with none is inconclusive, also a first release"
    )
    promote: bool = Field(default=False, description="move @champion to the version when, and only when, the gate says pass")
    check_weights: bool = Field(
        default=False,
        description="download the version and compare its weights with those that were explained; before a promotion always",
    )
    require_signature: bool = Field(
        default=False,
        description="a record that is not signed by a trusted key is inconclusive; so it is wherever there is a list of trusted "
        "keys (`calig keys`)",
    )
    require_approval: bool = Field(default=False, description="a version that no reviewer has approved is inconclusive")
    accept_waivers: bool = Field(
        default=False, description="a waiver that has not expired lets a version pass that failed or could not be judged"
    )
