"""PipelineConfig: every setting of a run, with its default and its meaning, in one YAML file."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from schemas.base import Record, without_empty_sections
from schemas.config.attribution import AttributionConfig, ExecutionConfig
from schemas.config.governing import AlertConfig, GovernanceConfig, PrivacyConfig, ReportConfig
from schemas.config.judging import (
    WORD_FILES,
    DriftConfig,
    GateConfig,
    MonitorConfig,
    PerturbationSetting,
    ProbeConfig,
    QualityConfig,
    TransformationName,
)

__all__ = [
    "WORD_FILES",
    "AlertConfig",
    "AttributionConfig",
    "DriftConfig",
    "ExecutionConfig",
    "GateConfig",
    "GovernanceConfig",
    "MonitorConfig",
    "PerturbationSetting",
    "PipelineConfig",
    "PrivacyConfig",
    "ProbeConfig",
    "QualityConfig",
    "ReportConfig",
    "TransformationName",
]


class PipelineConfig(Record):
    """All settings of a run."""

    attribution: AttributionConfig = Field(default=AttributionConfig(), description="how attributions are computed")
    quality: QualityConfig = Field(default=QualityConfig(), description="how their quality is measured and judged")
    drift: DriftConfig = Field(default=DriftConfig(), description="how they are compared with the reference version")
    monitor: MonitorConfig = Field(default=MonitorConfig(), description="how later data is compared under the same model")
    probe: ProbeConfig = Field(default=ProbeConfig(), description="how words outside the data set are probed for a changed role")
    report: ReportConfig = Field(default=ReportConfig(), description="what the report shows")
    privacy: PrivacyConfig = Field(default=PrivacyConfig(), description="what becomes of the texts in all that is written")
    alerts: AlertConfig = Field(default=AlertConfig(), description="who is told when the verdict is known")
    gate: GateConfig = Field(default=GateConfig(), description="what `calig gate` asks for")
    execution: ExecutionConfig = Field(default=ExecutionConfig(), description="where the work is done")
    governance: GovernanceConfig = Field(default=GovernanceConfig(), description="who answers for it, and which keys sign it")

    @model_validator(mode="before")
    @classmethod
    def _empty_sections(cls, content: object) -> object:
        return without_empty_sections(cls, content)

    def results_dump(self) -> dict[str, Any]:
        """The settings that a result depends on, as JSON: not who is told, what a gate asks, where work is done, who signs.

        Which modules may be loaded is not among them either: the suite's digest covers the code that was.
        """
        without: dict[str, Any] = dict.fromkeys(("alerts", "gate", "execution", "governance"), True)
        return self.model_dump(mode="json", exclude=without | {"quality": {"expectation_modules"}})
