"""Settings of the attribution, and of its execution: where shards are computed and stored meanwhile, which changes no value."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from schemas.base import DeploymentName, Record, digest_of
from schemas.fusion import PRESETS, ContextRule, FusionRule, FusionSettings

Coefficient = Annotated[float, Field(ge=0.0, le=1.0)]
Objective = Literal["centred", "logit", "log_odds"]
Explained = Literal["both", "text", "text_pair"]
Device = Literal["auto", "cpu", "cuda"]

#: Until evidence on a model speaks for another: the best of the grid on SST-2 and on digits (`make bench-faithfulness`).
_DEFAULT = PRESETS["contrast"]


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
        default=_DEFAULT.rule,
        description="rollout: context carries attributions down to the input; change: the same, but only to where the input "
        "differs from the baseline; gate: it weighs them in place; exact: the model itself carries them down, without context, "
        "for one path more; `fusion: contrast` (the default), `paper` or `exact` is short for this and the next two settings",
    )
    fusion_coefficient: Coefficient | Literal["auto"] = Field(
        default=_DEFAULT.coefficient,
        description="λ, 0 to 1: 0 is the mean of the layer integrated gradients, 1 is context (or exact) alone; auto: the "
        "reference version's fusion, else λ and both rules are chosen by comprehensiveness − sufficiency on a few rows",
    )
    context_rule: ContextRule = Field(
        default=_DEFAULT.context_rule,
        description="what enters the context matrix: the positive part of A ⊙ ∂f/∂A, its absolute size, attention A alone, or "
        "mixed, a quarter of the first and three quarters of the last; with rollout also signed, both signs of the first",
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

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, given: Any) -> Any:
        """`fusion: NAME` as the three settings that it stands for: what is recorded, compared and gated is always these."""
        if not isinstance(given, dict) or "fusion" not in given:
            return given
        name, parts = given["fusion"], ("fusion_rule", "fusion_coefficient", "context_rule")
        if name not in PRESETS:
            raise ValueError(f"unknown fusion {name!r}; allowed: {', '.join(PRESETS)}")
        if twice := [part for part in parts if part in given]:
            raise ValueError(f"fusion: {name} stands for {', '.join(twice)} too; give one or the other")
        preset, others = PRESETS[name], {key: value for key, value in given.items() if key != "fusion"}
        return others | dict(zip(parts, (preset.rule, preset.coefficient, preset.context_rule), strict=True))

    @model_validator(mode="after")
    def _only_a_rollout_carries_signs(self) -> AttributionConfig:
        if self.context_rule == "signed" and self.fusion_rule != "rollout":
            raise ValueError(f"context_rule: signed goes with fusion_rule: rollout alone, got {self.fusion_rule}")
        return self

    @property
    def fusion(self) -> FusionSettings:
        """How context is fused; ValueError while λ is still to be chosen."""
        if self.fusion_coefficient == "auto":
            raise ValueError("the fusion coefficient has not been chosen yet")
        return self.default_fusion

    @property
    def default_fusion(self) -> FusionSettings:
        """The fusion when nothing speaks for another: the rules as set, and λ where it is left to be chosen."""
        coefficient = _DEFAULT.coefficient if self.fusion_coefficient == "auto" else self.fusion_coefficient
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


Engine = Literal["threads", "processes", "ray", "dask"]


class ExecutionConfig(Record):
    """Where shards are computed, and where their tables are kept meanwhile. Part of no fingerprint: it changes no value."""

    engine: Engine = Field(
        default="threads",
        description="what computes the shards: threads of this process, processes of this machine, or a ray or dask cluster "
        "(extras ray, dask)",
    )
    workers: int = Field(default=2, ge=1, description="shards computed at a time; an existing cluster decides for itself")
    address: str | None = Field(
        default=None, description="an existing cluster: ray://HOST:10001, auto, or tcp://HOST:8786; empty: one for this run"
    )
    gpus_per_shard: float | None = Field(
        default=None, gt=0.0, description="GPUs that Ray reserves for a shard, also a fraction such as 0.5; empty: none"
    )
    lost_workers: int = Field(
        default=2, ge=0, description="times that what is left is started again after a worker process died, before giving up"
    )
    store: str | None = Field(
        default=None,
        description="where workers on other machines find rows and model and leave tables: s3://…, gs://…, file://… (any "
        "fsspec file system; credentials by its own environment variables); empty: the output folder",
    )
    attribution_deployment: DeploymentName | None = Field(
        default=None,
        description="Prefect deployment that attributes the shards, e.g. attribute-shards/attribute-shards on a GPU pool; "
        "needs `store`; empty: this run does",
    )
    shards_per_run: int = Field(default=16, ge=1, description="shards in one run of that deployment")
    deployment_hours: float = Field(default=24.0, gt=0.0, description="hours to wait for that deployment's runs before giving up")
    hours: float | None = Field(
        default=None, gt=0.0, description="a run that takes longer ends with an error, its finished shards kept; empty: no limit"
    )
    memory_gigabytes: float | None = Field(
        default=None,
        gt=0.0,
        description="a run that holds more memory, its worker processes here included, ends in the same way; empty: no limit",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.address is not None and self.engine not in {"ray", "dask"}:
            raise ValueError(f"engine {self.engine!r} has no address; allowed with ray, dask")
        if self.gpus_per_shard is not None and self.engine != "ray":
            raise ValueError(f"engine {self.engine!r} hands out no GPUs by the shard; gpus_per_shard is allowed with ray")
        if self.attribution_deployment is not None and self.store is None:
            raise ValueError("attribution_deployment needs a store that both sides reach, e.g. s3://bucket/calig")
        if self.store is not None:
            self._check_store(self.store)
        return self

    def _check_store(self, store: str) -> None:
        parts = urlsplit(store)
        if not parts.scheme:
            raise ValueError("store is an address: s3://bucket/folder, gs://bucket/folder, file:///folder")
        if parts.username or parts.password:
            raise ValueError("store holds a name or password: settings are published, so leave them to the environment")
        if parts.scheme == "memory" and (self.engine != "threads" or self.attribution_deployment is not None):
            raise ValueError("memory:// is seen by one process alone: engine threads, without attribution_deployment")
