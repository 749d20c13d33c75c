"""The benchmark runs from end to end on a tiny model, and says what is known: a method equal to CA-LIG has margin exactly 0."""

import json
import math
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest

from components.common.errors import InputError
from flows.common.progress import reporting
from tests.benchmarks.bench_faithfulness import bench, write
from tests.benchmarks.faithfulness.comparing import compared
from tests.benchmarks.faithfulness.digits import save_digits
from tests.benchmarks.faithfulness.keeping import KeptRows
from tests.benchmarks.faithfulness.methods import EXACT, EXACT_HALF, EXACT_MEAN, FUSED, VALUE_AWARE
from tests.benchmarks.faithfulness.prepare import character_spans, prepare
from tests.benchmarks.faithfulness.removals import DELETED, REPLACED, RESAMPLED, Removals
from tests.benchmarks.faithfulness.running import Run, run_set
from tests.benchmarks.faithfulness.sets import open_set, planted_set, text_set
from tests.helpers.tiny_models import save_tiny_bert

TOKENS = ("the film is a bright , moving story", "so dull and very boring", "good", "never really funny")
CAPTUM = {
    "captum_integrated_gradients",
    "captum_layer_gradient_x_activation",
    "captum_occlusion",
    "captum_kernel_shap",
    "captum_shapley_sampling",
}
OPTIONAL = {
    "interpreto": {"interpreto_integrated_gradients", "interpreto_occlusion", "interpreto_kernel_shap"},
    "ferret": {"ferret_gradient_x_input", "ferret_integrated_gradients"},
}
PEERS = CAPTUM.union(*(methods for package, methods in OPTIONAL.items() if find_spec(package)))
CONTROLS = {"random", "plain_ig", "layer_ig_mean", "input_x_gradient", "attention_rollout", "attention_gradient_rollout"}
FURTHER = {*FUSED, EXACT, EXACT_MEAN, EXACT_HALF, VALUE_AWARE}
FIGURES = {"comprehensiveness", "sufficiency", "difference", "deletion_auc", "insertion_auc", "auprc", "token_f1", "span_f1"}
REMOVED = {"difference_deleted", "difference_resampled", "auroc", "word_auprc", "word_auroc", "word_token_f1"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faithfulness")
    model, rows = save_tiny_bert(folder / "model"), folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in _rows()))
    settings = {"text": [f"tiny={model},{rows}"], "digits": False, "threads": 1, "work": folder / "work"}
    for n_rows in (2, 4):  # the second run goes on where the first stopped
        bench(rows=n_rows, output=folder / "results.json", **settings)
    assert (folder / "work" / "tiny.jsonl").read_text().count('"measures"') == 4
    text = (folder / "results.json").read_text()
    assert str(folder) not in text
    return json.loads(text)


def _rows():
    """Half of the rows are labelled NEG and half POS; the first two words are the rationale; one row has a single word."""
    for i, text in enumerate(TOKENS * 2):
        yield {"id": str(i), "text": text, "label": ("NEG", "POS")[i % 2], "rationale": [[0, len(" ".join(text.split()[:2]))]]}


@pytest.mark.slow
def test_every_method_is_measured_on_the_same_rows(measured):
    (entry,) = measured["sets"]
    assert entry["n"] == 4
    assert {m["name"] for m in entry["methods"]} == {"ca_lig"} | CONTROLS | FURTHER | PEERS
    assert all(
        set(m) >= FIGURES | REMOVED | {f"{f}_interval" for f in FIGURES | REMOVED} for m in entry["methods"] + entry["grid"]
    )
    for m in entry["methods"]:
        assert m["difference"] == pytest.approx(m["comprehensiveness"] - m["sufficiency"])
        assert m["margin_interval"][0] <= m["margin_of_ca_lig"] <= m["margin_interval"][1]
        if m["name"] in PEERS:
            assert m["seconds_per_row"] > 0
    assert [m["difference"] for m in entry["methods"]] == sorted((m["difference"] for m in entry["methods"]), reverse=True)


@pytest.mark.slow
def test_what_equals_ca_lig_has_margin_zero(measured):
    (entry,) = measured["sets"]
    methods, grid = ({m["name"]: m for m in entry[part]} for part in ("methods", "grid"))
    for same in (methods["ca_lig"], grid["change, mixed, 0.2"]):
        assert (same["margin_of_ca_lig"], same["margin_interval"]) == (0.0, [0.0, 0.0])
        assert (same["auprc_margin"], same["auprc_margin_interval"]) == (0.0, [0.0, 0.0])
        assert same["verdict"] == "not separable"
    assert grid["change, mixed, 0"]["difference"] == methods["layer_ig_mean"]["difference"]


@pytest.mark.slow
def test_only_rows_explained_toward_their_label_have_a_rationale_to_compare_with(measured):
    (entry,) = measured["sets"]
    assert entry["n_rationales"] == round(entry["accuracy"] * entry["n"])


@pytest.mark.parametrize(("gain", "expected"), [(-0.5, "beats"), (0.5, "loses"), (0.0, "not separable")])
def test_verdicts_follow_the_interval_of_the_paired_difference(gain, expected):
    ca_lig = {"difference": np.random.default_rng(0).normal(size=50), "auprc": np.full(50, np.nan)}
    method = {"difference": ca_lig["difference"] + gain, "auprc": ca_lig["auprc"]}
    result = compared("other", method, ca_lig)
    assert result["verdict"] == expected
    assert result["margin_of_ca_lig"] == pytest.approx(-gain)
    assert "auprc" not in result
    assert "auprc_margin" not in result


def test_results_of_one_set_replace_its_own_and_keep_the_others(tmp_path):
    output = tmp_path / "results.json"
    for entry in ({"name": "a", "n": 1}, {"name": "b", "n": 1}, {"name": "a", "n": 2}):
        write(output, entry)
    assert [(s["name"], s["n"]) for s in json.loads(output.read_text())["sets"]] == [("a", 2), ("b", 1)]


def test_token_rationales_become_character_spans_of_the_same_words(tmp_path):
    text = "not a good , but a long film"
    assert [text[start:end] for start, end in character_spans(text, [[2, 3], [4, 4], [4, 8]])] == ["good", "but a long film"]
    rows = [{"id": str(i), "split": "ab"[i % 2], "label": "POS", "tokens": text, "rationale": [[0, 1]]} for i in range(6)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepare(tmp_path / "in.jsonl", tmp_path / "out.jsonl", split="b")
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert sorted(row["id"] for row in written) == ["1", "3", "5"]
    assert written[0] == {"id": written[0]["id"], "text": text, "label": "POS", "rationale": [[0, 3]]}


@pytest.mark.slow
def test_digits_run_like_any_set(tmp_path):
    opened = open_set("digits", *save_digits(tmp_path, epochs=1), 2)
    assert (opened.snapshot.modality, opened.model.config.patch_size) == ("image", 1)
    with reporting(quiet=True) as reporter:
        entry = run_set(opened, Run(grid=False, workspace=tmp_path, work=tmp_path / "work", reporter=reporter))
    assert (entry["n"], entry["n_rationales"], entry["perturbation"], entry["grid"]) == (2, 0, "black image", [])
    assert {m["name"] for m in entry["methods"]} == {"ca_lig"} | CONTROLS | FURTHER | CAPTUM
    assert set(entry["peers"]) == {"captum", *OPTIONAL}


def test_rows_are_kept_for_the_same_settings_only_and_half_a_line_is_none(tmp_path):
    folder = save_tiny_bert(tmp_path / "model")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in _rows()))
    given, path = open_set("tiny", folder, tmp_path / "rows.jsonl", 3), tmp_path / "work" / "tiny.jsonl"
    first, second, third = given.examples
    kept = KeptRows(path, given, grid=True)
    kept.add(first, {"measures": {"ca_lig": {"auprc": math.nan}}})
    kept.add(second, {"measures": {}})
    path.write_text(path.read_text()[:-10])  # killed while it wrote
    KeptRows(path, given, grid=True).add(third, {"measures": {"of": "the third"}})
    again = KeptRows(path, given, grid=True)
    assert again.find(third)["measures"] == {"of": "the third"}
    assert math.isnan(again.find(first)["measures"]["ca_lig"]["auprc"])
    assert again.find(second) is None
    assert KeptRows(path, given, grid=False).find(first) is None
    retrained = replace(given, snapshot=given.snapshot.model_copy(update={"weights_digest": "0" * 64}))
    assert KeptRows(path, retrained, grid=True).find(first) is None


def test_a_set_given_by_halves_is_refused():
    with pytest.raises(InputError, match="NAME=MODEL_FOLDER,ROWS_FILE"):
        text_set("name=folder", None)


@pytest.mark.slow
def test_intervals_are_finite(measured):
    entries = [m for entry in measured["sets"] for part in ("methods", "grid") for m in entry[part]]
    assert all(math.isfinite(bound) for m in entries for name in m if name.endswith("interval") for bound in m[name])


def test_a_planted_word_is_the_rationale_of_rows_of_other_classes(tmp_path):
    model, rows = save_tiny_bert(tmp_path / "model"), tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in _rows()))
    opened = planted_set(f"planted={model},{rows},honestly,POS", None, tmp_path)
    assert [e.text for e in opened.examples] == ["honestly " + text for text in TOKENS[::2] * 2]
    assert {(e.label, tuple(e.rationale)) for e in opened.examples} == {("POS", ((0, len("honestly")),))}
    with pytest.raises(InputError, match="allowed: NEG, POS"):
        planted_set(f"planted={model},{rows},honestly,MAYBE", None, tmp_path)


def test_resampled_tokens_are_those_of_the_data_and_special_ones_stay():
    encoded = SimpleNamespace(input_ids=[1, 7, 8, 9, 2], content=[False, True, True, True, False])
    removals = Removals.of([encoded], replacement_id=3)
    sources = removals.of_row(SimpleNamespace(image=None, row=0), encoded)
    removed = np.array([True, False, True])
    resampled = sources[RESAMPLED].without(removed).input_ids
    assert (resampled[[0, 2, 4]] == [1, 8, 2]).all()
    assert set(resampled[[1, 3]]) <= {7, 8, 9}
    assert sources[REPLACED].without(removed).input_ids.tolist() == [1, 3, 8, 3, 2]
    assert sources[DELETED].without(removed).attended.tolist() == [True, False, True, False, True]
