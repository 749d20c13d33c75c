"""PipelineConfig: every setting of a run, with its default and its meaning, in one YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from schemas.alert import AlertLevel, Channel
from schemas.base import Record, digest_of
from schemas.fusion import ContextRule, FusionRule, FusionSettings

Coefficient = Annotated[float, Field(ge=0.0, le=1.0)]

#: λ until evidence on a model speaks for another: the best of the grid on SST-2 and on digits (`make bench-faithfulness`).
_COEFFICIENT = 0.2

Device = Literal["auto", "cpu", "cuda"]
PerturbationSetting = Literal["auto", "replace", "delete", "zero", "blur"]

#: A name, so that no address or key is written into a settings file by mistake.
EnvironmentVariable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
BlockName = Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]


class AttributionConfig(Record):
    """How attributions are computed."""

    target: str = Field(
        default="predicted",
        description="what is explained: predicted, gold, margin (largest logit less the second), or a class name",
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
    dtype: Literal["float32", "float64", "bfloat16"] = Field(default="float32", description="precision of the model's passes")
    device: Device = Field(default="auto", description="auto takes the GPU when there is one")
    batch_tokens: int | None = Field(
        default=None, ge=16, description="tokens per forward pass; empty: what suits the device; changes no value"
    )
    shard_rows: int = Field(
        default=256, ge=1, description="rows per shard, the unit of parallel work and of resuming; changes no value"
    )

    @field_validator("target")
    @classmethod
    def _one_per_row(cls, target: str) -> str:
        if target == "each":
            raise ValueError("'each' gives several attributions per row; a table holds one: name the class, or predicted")
        return target

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
        settings = self.model_dump(mode="json", exclude={"device", "batch_tokens", "shard_rows", "calibration_rows"})
        return digest_of(settings | {"fusion_coefficient": self.fusion.coefficient})


class QualityConfig(Record):
    """How attribution quality is measured and judged."""

    suite: str = Field(
        default="auto",
        description="expectation suite: auto (default for texts, vision for images), strict, or the path of a YAML file",
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
    seed: int = Field(default=0, description="seed of all that is drawn: orders, sets, rows, nudges, fresh weights, resamples")


class DriftConfig(Record):
    """How attribution drift against the reference version is measured and judged."""

    top_k: int = Field(default=3, ge=1, description="words compared by top-k overlap")
    min_rows: int = Field(default=30, ge=2, description="fewer paired rows than this make drift inconclusive")
    min_occurrences: int = Field(default=5, ge=2, description="a word is tested when it occurs in at least this many paired rows")
    min_coverage: float = Field(
        default=0.8,
        ge=0.0,
        le=1.0,
        description="rows compared, as a share of those either version explains; below: inconclusive",
    )
    reexplain_reference: bool = Field(
        default=False, description="explain the reference (and its twins) again when their own explanations cannot be compared"
    )
    min_null_pairs: int = Field(
        default=3, ge=2, description="honest retrainings that measure the noise; with fewer, the next source is asked"
    )
    null_versions: int = Field(default=5, ge=0, description="most twins, or accepted earlier versions, that measure the noise")
    numerics_rows: int = Field(
        default=8,
        ge=0,
        description="rows explained again ten times as exactly, in float64, for the error of the numbers",
    )
    word_shift: float = Field(
        default=0.3,
        gt=0.0,
        description="minimum effect: change of a word's signed share of attribution from which on a version "
        "can fail; measured noise raises it, never lowers it",
    )
    word_shift_z: float = Field(default=6.0, gt=0.0, description="the same for |z| of that change")
    false_discovery_rate: float = Field(
        default=0.01, gt=0.0, lt=1.0, description="Benjamini-Hochberg level over words x classes x segments"
    )
    rank_agreement: float = Field(
        default=0.8, ge=-1.0, le=1.0, description="mean Spearman below this warns; measured noise lowers it, never raises it"
    )
    sign_flip: float = Field(
        default=0.1,
        ge=0.0,
        le=1.0,
        description="mean share of mass with changed sign above this warns; measured noise raises it",
    )
    worst_examples: int = Field(default=20, ge=0, description="examples kept word by word")


class MonitorConfig(Record):
    """How a window of data is compared with an earlier one under the same model (`calig monitor`)."""

    min_rows: int = Field(default=30, ge=2, description="fewer rows than this in a window make the comparison inconclusive")
    min_occurrences: int = Field(default=10, ge=2, description="a word is tested when this many rows of each window contain it")
    word_shift: float = Field(default=0.3, gt=0.0, description="change of a word's mean signed share from which on it can fail")
    word_shift_z: float = Field(default=6.0, gt=0.0, description="|z| (Welch) of that change from which on it can fail")
    false_discovery_rate: float = Field(
        default=0.01, gt=0.0, lt=1.0, description="Benjamini-Hochberg level over words x classes, and level of the mix tests"
    )
    unseen_mass: float = Field(
        default=0.25, gt=0.0, le=1.0, description="attribution on words the earlier window lacks; above fails"
    )
    mix: float = Field(default=0.1, gt=0.0, le=1.0, description="total variation distance of the class mixes; above warns")


class ProbeConfig(Record):
    """How words that the data set may not contain are probed for changed effects, against the reference version."""

    enabled: bool = Field(default=True, description="probe the vocabulary (images: patterns) when there is a reference version")
    max_words: int = Field(default=30_000, ge=1, description="most words probed: listed, the data set's, frequent ones first")
    contexts: int = Field(
        default=16, ge=2, description="texts that words are put into: rows and bits of rows that leave the model undecided"
    )
    word_list: Path | None = Field(default=None, description="UTF-8 file of further words to probe, one a line, or none")
    twins: tuple[str, ...] = Field(
        default=(), description="models that differ from the reference by harmless retraining only: limits are measured on them"
    )
    z: float = Field(default=5.0, gt=0.0, description="|z| of a word's changed effect that warns, or fails with twins")
    certain_z: float = Field(default=8.0, gt=0.0, description="|z| from which on it fails a version without twins")
    min_shift: float = Field(default=1.0, ge=0.0, description="change of a word's effect, in logits, below which nothing fires")


class ReportConfig(Record):
    """What the report shows."""

    examples: int = Field(default=100, ge=0, description="examples drawn in the HTML report (the Parquet table keeps all)")


class AlertConfig(Record):
    """Who is told when a verdict is known. Part of no fingerprint: telling others changes no result."""

    level: AlertLevel = Field(
        default=AlertLevel.WARNING,
        description="least urgent message sent to blocks and the webhook: explained (every run), warning, or failing",
    )
    events: bool = Field(default=True, description="emit Prefect events (all levels), for automations: deploy/automations.yaml")
    blocks: tuple[BlockName, ...] = Field(
        default=(), description="Prefect notification blocks as type/name, e.g. slack-webhook/ops; see `prefect block ls`"
    )
    webhook_url_env: EnvironmentVariable | None = Field(
        default=None, description="environment variable with the address of a signed webhook; empty: none"
    )
    webhook_secret_env: EnvironmentVariable = Field(
        default="CALIG_WEBHOOK_SECRET", description="environment variable with the key that signs it (HMAC-SHA256)"
    )

    def channels(self, level: AlertLevel) -> tuple[Channel, ...]:
        """Where a message of `level` goes."""
        found = [Channel(kind="prefect")] if self.events else []
        if level.rank >= self.level.rank:
            found += [Channel(kind="block", block=block) for block in dict.fromkeys(self.blocks)]
            if self.webhook_url_env is not None:
                found.append(Channel(kind="webhook", url_env=self.webhook_url_env, secret_env=self.webhook_secret_env))
        return tuple(found)


class GateConfig(Record):
    """What `calig gate` asks for beyond a verdict of pass. Part of no fingerprint."""

    max_age_days: float | None = Field(default=None, gt=0.0, description="an older explanation is inconclusive; empty: any age")
    require_reference: bool = Field(
        default=False, description="a version that was compared with none is inconclusive, also a first release"
    )
    promote: bool = Field(default=False, description="move @champion to the version when, and only when, the gate says pass")


class PipelineConfig(Record):
    """All settings of a run."""

    attribution: AttributionConfig = Field(default=AttributionConfig(), description="how attributions are computed")
    quality: QualityConfig = Field(default=QualityConfig(), description="how their quality is measured and judged")
    drift: DriftConfig = Field(default=DriftConfig(), description="how they are compared with the reference version")
    monitor: MonitorConfig = Field(default=MonitorConfig(), description="how later data is compared under the same model")
    probe: ProbeConfig = Field(default=ProbeConfig(), description="how words outside the data set are probed for a changed role")
    report: ReportConfig = Field(default=ReportConfig(), description="what the report shows")
    alerts: AlertConfig = Field(default=AlertConfig(), description="who is told when the verdict is known")
    gate: GateConfig = Field(default=GateConfig(), description="what `calig gate` asks for")

    def results_dump(self) -> dict[str, Any]:
        """The settings that a result depends on, as JSON: all but who is told and what a gate asks for."""
        return self.model_dump(mode="json", exclude={"alerts", "gate"})
