"""Settings of quality: how attribution quality is measured and judged."""

from __future__ import annotations

from typing import Literal

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
    falsification_rows: int = Field(
        default=16, ge=0, description="rows, drawn by the seed, whose maps the run tries to falsify; 0 does not try"
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
