"""The front door: what it gives, and how it refuses."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

import calig
from calig import InvalidInputError, UnsupportedModelError, VerificationError, explain
from calig.baselines import choose_baseline
from calig.blocks import attributable
from calig.families import FAMILIES, Family, family_of
from tests.calig.conftest import TEXTS


def test_public_names_are_pinned():
    assert sorted(calig.__all__) == [
        "Attribution",
        "AttributionError",
        "InvalidInputError",
        "UnsupportedModelError",
        "VerificationError",
        "Word",
        "explain",
        "load_model",
    ]
    assert all(getattr(calig, name) for name in calig.__all__)


def test_importing_the_package_is_light():
    code = "import sys, calig, calig.metrics.statistics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_result_is_complete_and_json(bert):
    model, tokenizer = bert
    result = explain(model, tokenizer, "a great film !")[0]
    assert result.tokens == ["[CLS]", "a", "great", "film", "!", "[SEP]"]
    assert result.content == [False, True, True, True, True, False]
    assert [w.text for w in result.words] == ["a", "great", "film", "!"]
    assert [(w.start, w.end) for w in result.words] == [(0, 1), (2, 7), (8, 12), (13, 14)]
    assert result.layers.shape == result.layer_attributions.shape == (3, 6)
    assert sum(w.value for w in result.words) == pytest.approx(result.values[1:-1].sum())
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert plain["values"] == result.values.tolist()
    assert 0.5 <= plain["probability"] <= 1


def test_long_texts_report_their_coverage(bert):
    model, tokenizer = bert
    short, long = explain(model, tokenizer, ["a great film", "great film " * 40], max_length=22)
    assert short.coverage == 1.0
    assert long.coverage == pytest.approx(20 / 80)
    assert len(long.tokens) == 22


def test_images_have_patches(vit, pictures):
    model, processor = vit
    results = explain(model, processor, pictures, tolerance=1e-4)
    assert results[0].tokens[:2] == ["[CLS]", "patch 0,0"]
    assert results[0].words == []
    for result in results:
        assert result.values.sum() == pytest.approx(result.f_input - result.f_baseline, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "MAYBE"}, "allowed: predicted, gold, margin, NEG, POS"),
        ({"target": "gold"}, "needs a label"),
        ({"fusion_coefficient": 1.5}, "allowed: 0 … 1"),
        ({"context_rule": "negative"}, "positive, absolute, attention"),
        ({"context_rule": "signed"}, "keeps sums only in a rollout"),
        ({"fusion": "papers"}, "allowed: contrast, paper"),
        ({"fusion": "paper", "fusion_coefficient": 0.3}, "settings that are given too"),
        ({"baseline": "zero"}, "no baseline 'zero'"),
    ],
)
def test_bad_options_say_what_is_allowed(bert, options, message):
    model, tokenizer = bert
    with pytest.raises(InvalidInputError, match=message):
        explain(model, tokenizer, TEXTS[0], **options)


def test_a_fusion_has_a_name(bert):
    model, tokenizer = bert
    (named,) = explain(model, tokenizer, TEXTS[0], fusion="paper")
    (spelled,) = explain(model, tokenizer, TEXTS[0], fusion_rule="rollout", fusion_coefficient=0.5, context_rule="positive")
    (default,) = explain(model, tokenizer, TEXTS[0])
    assert (named.values == spelled.values).all()
    assert (explain(model, tokenizer, TEXTS[0], fusion="contrast")[0].values == default.values).all()
    assert (named.values != default.values).any()


@pytest.mark.parametrize("text", ["", "   "])
def test_texts_without_content_are_refused(bert, text):
    model, tokenizer = bert
    with pytest.raises(InvalidInputError, match="no tokens to attribute"):
        explain(model, tokenizer, text)


@pytest.mark.parametrize("name", ["mask", "pad", "mean"])
def test_every_text_baseline_is_complete(bert, name):
    model, tokenizer = bert
    result = explain(model, tokenizer, TEXTS[0], baseline=name, tolerance=1e-5)[0]
    assert result.values.sum() == pytest.approx(result.f_input - result.f_baseline, rel=1e-4)


def test_baselines_keep_special_tokens(bert):
    model, tokenizer = bert
    from calig.inputs import encode_text

    row = encode_text("a film", tokenizer, limit=None)
    ids = choose_baseline("mask", model, tokenizer, "text").apply(row)["input_ids"][0].tolist()
    mask = tokenizer.mask_token_id
    assert ids == [tokenizer.cls_token_id, mask, mask, tokenizer.sep_token_id]


@pytest.mark.parametrize("name", ["zero", "blur"])
def test_every_image_baseline_is_complete(vit, pictures, name):
    model, processor = vit
    result = explain(model, processor, pictures[0], baseline=name, tolerance=1e-5)[0]
    assert result.values.sum() == pytest.approx(result.f_input - result.f_baseline, rel=1e-4)


def stand_in(model_type, class_name, **config):
    return type(class_name, (), {"config": SimpleNamespace(model_type=model_type, is_encoder_decoder=False, **config)})()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            stand_in("mamba", "MambaForSequenceClassification"),
            "unknown model type\ngot: mamba\nallowed: classifiers of albert, beit, bert",
        ),
        (stand_in("swin", "SwinForImageClassification"), "cannot be attributed: its blocks shift"),
        (stand_in("big_bird", "BigBirdForSequenceClassification"), "its attention is sparse.*into a supported family"),
        (stand_in("longformer", "LongformerForSequenceClassification"), "its attention is sparse.*overlapping windows"),
        (stand_in("gemma3", "Gemma3ForSequenceClassification"), "of type gemma3_text"),
        (stand_in("resnet", "ResNetForImageClassification"), "convolutional network.*use plain Integrated Gradients or Grad-CAM"),
        (stand_in("convnext", "ConvNextForImageClassification"), "convolutional network"),
        (stand_in("bert", "BertForMaskedLM"), "got: BertForMaskedLM"),
    ],
)
def test_unsupported_models_are_refused_by_name(model, message):
    with pytest.raises(UnsupportedModelError, match=message):
        family_of(model)


def test_encoder_decoders_are_refused():
    model = stand_in("t5", "T5ForSequenceClassification")
    model.config.is_encoder_decoder = True
    with pytest.raises(UnsupportedModelError, match="encoder-decoder"):
        family_of(model)


def test_a_wrong_family_row_is_noticed(bert, monkeypatch):
    model, tokenizer = bert
    wrong = Family("bert", "text", FAMILIES["bert"].blocks, lambda m, h: m.classifier(h[:, 0]))
    monkeypatch.setitem(FAMILIES, "bert", wrong)
    with pytest.raises(VerificationError, match="differ from the model's own"):
        explain(model, tokenizer, TEXTS[0])
    assert model.config._attn_implementation == "sdpa"


def test_attributable_restores_after_verification_failure(bert):
    model, _ = bert
    with attributable(model) as stack:
        assert len(stack.blocks) == 3
        assert model.config._attn_implementation != "sdpa"
    assert model.config._attn_implementation == "sdpa"


def test_a_dictionary_of_an_attribution_is_json(bert):
    """Regression has no probability, and JSON has no NaN."""
    import copy
    import json

    model, tokenizer = bert
    regression = copy.deepcopy(model)
    regression.config.problem_type = "regression"
    found = explain(regression, tokenizer, ["great film !"])[0]
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert content["probability"] is None
    assert content["values"] == pytest.approx(found.values.tolist())
