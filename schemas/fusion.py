"""FusionChoice: the fusion of context and attributions chosen for a model, with the margins of all candidates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Interval, Record

FusionRule = Literal["rollout", "change", "gate", "exact"]
ContextRule = Literal["positive", "absolute", "attention", "mixed", "signed"]


class FusionSettings(Record):
    """One way of fusing."""

    rule: FusionRule
    coefficient: float = Field(ge=0.0, le=1.0, description="λ")
    context_rule: ContextRule

    @property
    def name(self) -> str:
        """As a preset and by its parts."""
        return fusion_name(self.rule, self.coefficient, self.context_rule)


#: Fusions with a name, as in `calig.rollout.PRESETS`, where it says what they are.
PRESETS: dict[str, FusionSettings] = {
    "contrast": FusionSettings(rule="change", coefficient=0.2, context_rule="mixed"),
    "paper": FusionSettings(rule="rollout", coefficient=0.5, context_rule="positive"),
    "exact": FusionSettings(rule="exact", coefficient=1.0, context_rule="mixed"),
}


def fusion_name(rule: str, coefficient: float, context_rule: str) -> str:
    """The name of the preset with these parts, if there is one, and the parts; the rule `exact` has no context."""
    parts = f"{rule}, λ {coefficient:g}" + (f", {context_rule}" if rule != "exact" else "")
    named: dict[tuple[str, float, str], str] = {
        (preset.rule, preset.coefficient, preset.context_rule): name for name, preset in PRESETS.items()
    }
    name = named.get((rule, coefficient, context_rule))
    return f"{name} ({parts})" if name else parts


class FusionCandidate(Record):
    """A fusion scored on the calibration slice.

    `margin` is its (comprehensiveness − sufficiency) minus the default's, paired by row; positive: it is better.
    """

    fusion: FusionSettings
    difference: float = Field(description="comprehensiveness − sufficiency, mean over the slice; higher is better")
    margin: float
    margin_interval: Interval


class FusionChoice(Record):
    """The fusion in use and where it comes from. Versions that are compared are explained with the same one."""

    fusion: FusionSettings
    reason: str = Field(description="one sentence")
    frozen_by: str | None = Field(default=None, description="the reference version whose fusion was taken over")
    slice_ids: tuple[str, ...] = Field(default=(), description="ids of the rows it was chosen on")
    candidates: tuple[FusionCandidate, ...] = Field(default=(), description="the curve: every fusion tried")
