"""The settings of the pipeline and the engine have the defaults of `calig.explain`, where the method is stated."""

import inspect
from dataclasses import fields

import pytest
from pydantic import ValidationError

import calig
from calig.engine import Options
from calig.rollout import PRESETS
from schemas import fusion
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


def test_fusions_with_a_name_mean_the_same_in_settings_and_library() -> None:
    ours = {name: (preset.rule, preset.coefficient, preset.context_rule) for name, preset in PRESETS.items()}
    assert {name: (f.rule, f.coefficient, f.context_rule) for name, f in fusion.PRESETS.items()} == ours
    assert AttributionConfig().fusion == fusion.PRESETS["contrast"]
    paper = AttributionConfig.model_validate({"fusion": "paper", "target": "gold"})
    assert paper.fusion == fusion.PRESETS["paper"]
    assert AttributionConfig.model_validate(paper.model_dump()) == paper
    assert paper.fusion.name == "paper (rollout, λ 0.5, positive)"
    assert AttributionConfig.model_validate({"fusion": "exact"}).fusion.name == "exact (exact, λ 1)"
    assert (
        paper.fused_by(fusion.FusionSettings(rule="gate", coefficient=0.1, context_rule="mixed")).fusion.name
        == "gate, λ 0.1, mixed"
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"fusion": "papers"}, "unknown fusion 'papers'; allowed: contrast, paper"),
        ({"fusion": "paper", "fusion_coefficient": 0.1}, "stands for fusion_coefficient too"),
        ({"context_rule": "signed"}, "rollout alone, got change"),
    ],
)
def test_fusions_that_contradict_themselves(given, words) -> None:
    with pytest.raises(ValidationError, match=words):
        AttributionConfig.model_validate(given)
