"""The settings of the pipeline and the engine have the defaults of `calig.explain`, where the method is stated."""

import inspect
from dataclasses import fields

import calig
from calig.engine import Options
from schemas.config import AttributionConfig


def test_settings_and_engine_have_the_defaults_of_the_front_door() -> None:
    stated = {name: parameter.default for name, parameter in inspect.signature(calig.explain).parameters.items()}
    settings = {name: field.default for name, field in AttributionConfig.model_fields.items() if name in stated}
    engine = {field.name: field.default for field in fields(Options) if field.name in stated and field.name != "batch_tokens"}
    assert {"target", "objective", "fusion_rule", "fusion_coefficient", "context_rule", "tolerance", "max_points"} <= {
        *settings
    } & {*engine}
    assert settings == {name: stated[name] for name in settings}
    assert engine == {name: stated[name] for name in engine}
