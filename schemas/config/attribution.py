"""Settings of the attribution."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.base import Record, digest_of
from schemas.fusion import ContextRule, FusionRule, FusionSettings

Coefficient = Annotated[float, Field(ge=0.0, le=1.0)]
Objective = Literal["centred", "logit", "log_odds"]
Explained = Literal["both", "text", "text_pair"]
Device = Literal["auto", "cpu", "cuda"]

#: λ until evidence on a model speaks for another: the best of the grid on SST-2 and on digits (`make bench-faithfulness`).
_COEFFICIENT = 0.2


class AttributionConfig(Record):
    """How attributions are computed."""

    target: str = Field(
        default="predicted",
        description="what is explained: predicted (of a regression its output), gold (of a multi-label model: a row for every "
        "gold label), margin (largest logit less the second), each (of a multi-label model: a row for every label, which compare "
        "label by label), a class name, or class:NAME for a class that is called like one of these words",
    )
    objective: Objective = Field(
        default="centred",
        description="what is explained of a class where a softmax decides: centred, its logit less the mean of the others; "
        "log_odds, log p/(1 − p); logit, its logit alone; multi-label and regression models have their logit explained",
    )
    explain: Explained = Field(
        default="both",
        description="of pairs of texts: both, or text or text_pair alone; the other one then stays in x' as it is in x",
    )
    fusion_rule: FusionRule = Field(
        default="change",
        description="rollout: context carries attributions down to the input; change: the same, but only to where the input "
        "differs from the baseline; gate: it weighs them in place",
    )
    fusion_coefficient: Coefficient | Literal["auto"] = Field(
        default=_COEFFICIENT,
        description="λ, 0 to 1: 0 is the mean of the layer integrated gradients, 1 is attention context alone; auto: the "
        "reference version's fusion, else λ and both rules are chosen by comprehensiveness − sufficiency on a few rows",
    )
    context_rule: ContextRule = Field(
        default="mixed",
        description="what enters the context matrix: the positive part of A ⊙ ∂f/∂A, its absolute size, attention A alone, or "
        "mixed, a quarter of the first and three quarters of the last",
    )
    calibration_rows: int = Field(default=64, ge=1, description="rows that `auto` chooses on, drawn by quality.seed")
    baseline: Literal["auto", "mask", "pad", "mean", "zero", "blur"] = Field(
        default="auto",
        description="what replaces content; texts: mask, pad, mean embedding; images: zero, blur; auto: the first that exists",
    )
    tolerance: float = Field(default=0.01, gt=0.0, lt=1.0, description="error allowed per layer, as a share of |f(x) − f(x')|")
    max_points: int = Field(
        default=129, ge=3, le=1025, description="most path points per row and layer before it counts as unconverged"
    )
    n_points: int | None = Field(
        default=None, ge=1, le=1025, description="the same Gauss-Legendre points for all, as in Captum; empty: chosen by need"
    )
    reduced: bool = Field(
        default=False, description="matrix products on bfloat16 operands; what does not converge is computed again in full"
    )
    max_length: int | None = Field(default=None, ge=4, description="tokens per text; empty: the model's own limit")
    long_texts: Literal["truncate", "windows"] = Field(
        default="truncate",
        description="texts beyond that limit: truncate, they lose their end; windows, they are explained in overlapping windows, "
        "and what is explained is the mean of the windows' logits; of a pair the longer text is in windows, the other one whole",
    )
    window_overlap: float = Field(
        default=0.25, ge=0.0, le=0.9, description="share of a window that the next one repeats; without windows unused"
    )
    dtype: Literal["float32", "float64", "bfloat16"] = Field(default="float32", description="precision of the model's passes")
    device: Device = Field(default="auto", description="auto takes the GPU when there is one")
    batch_tokens: int | None = Field(
        default=None, ge=16, description="tokens per forward pass; empty: what suits the device; changes no value"
    )
    shard_rows: int = Field(
        default=256, ge=1, description="rows per shard, the unit of parallel work and of resuming; changes no value"
    )

    @property
    def fusion(self) -> FusionSettings:
        """How context is fused; ValueError while λ is still to be chosen."""
        if self.fusion_coefficient == "auto":
            raise ValueError("the fusion coefficient has not been chosen yet")
        return self.default_fusion

    @property
    def default_fusion(self) -> FusionSettings:
        """The fusion when nothing speaks for another: the rules as set, and λ where it is left to be chosen."""
        coefficient = _COEFFICIENT if self.fusion_coefficient == "auto" else self.fusion_coefficient
        return FusionSettings(rule=self.fusion_rule, coefficient=coefficient, context_rule=self.context_rule)

    def fused_by(self, fusion: FusionSettings) -> AttributionConfig:
        """These settings with `fusion`."""
        chosen = {"fusion_rule": fusion.rule, "fusion_coefficient": fusion.coefficient, "context_rule": fusion.context_rule}
        return self.model_copy(update=chosen)

    def fingerprint(self) -> str:
        """Digest of the settings that change attribution values (device, batch and shard sizes do not).

        ValueError while λ is still to be chosen.
        """
        neutral = {"device", "batch_tokens", "shard_rows", "calibration_rows"}
        # Explanations that were made before there were windows and pairs stay comparable.
        unused = {"long_texts", "window_overlap"} if self.long_texts == "truncate" else set()
        unused |= {"explain"} if self.explain == "both" else set()
        settings = self.model_dump(mode="json", exclude=neutral | unused)
        return digest_of(settings | {"fusion_coefficient": self.fusion.coefficient})
