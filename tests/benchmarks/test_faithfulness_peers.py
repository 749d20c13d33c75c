"""Other packages' methods are called as meant: each against a literal computation, token by token, on a tiny model."""

import copy
import importlib.util
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from transformers import BertForSequenceClassification
from transformers.modeling_outputs import SequenceClassifierOutput

from tests.benchmarks.faithfulness import peers
from tests.benchmarks.faithfulness.captum_peers import CaptumPeers
from tests.benchmarks.faithfulness.evaluating import logit_of
from tests.benchmarks.faithfulness.methods import explained_rows
from tests.benchmarks.faithfulness.peers import Peers
from tests.benchmarks.faithfulness.sets import open_set
from tests.benchmarks.faithfulness.tokenizing import tokenized
from tests.helpers.tiny_models import save_tiny_bert

#: "Xylem" falls apart into five tokens, so that words are coarser than tokens; the sentences are coarser still.
TEXT = "the film is a bright, moving story. So dull xylem!"
MANY, SOME, FEW = 200, 20, 4
CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # float32 sums in another order

needs_interpreto = pytest.mark.skipif(not importlib.util.find_spec("interpreto"), reason="interpreto is not installed")
needs_ferret = pytest.mark.skipif(not importlib.util.find_spec("ferret"), reason="ferret is not installed")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peers")
    (folder / "rows.jsonl").write_text(json.dumps({"id": "a", "text": TEXT, "label": "NEG"}))
    given = open_set("tiny", save_tiny_bert(folder / "model", seed=3), folder / "rows.jsonl", None)
    (row,) = explained_rows(given, given.examples, grid=False)
    return given, row


@pytest.fixture
def interpreto(tiny):
    from tests.benchmarks.faithfulness.interpreto_peers import open_peers

    torch.manual_seed(0)
    return open_peers(tiny[0])


@pytest.fixture
def ferret(tiny):
    from tests.benchmarks.faithfulness.ferret_peers import open_peers

    return open_peers(tiny[0])


class AdditiveForSequenceClassification(BertForSequenceClassification):
    """Its logits are ± the sum of all embeddings."""

    def forward(self, input_ids=None, inputs_embeds=None, **_):
        embedded = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
        value = embedded.sum((-1, -2))
        return SequenceClassifierOutput(logits=torch.stack([value, -value], dim=1))


def _without(given, row, positions):
    """f(x) − f(x with [MASK] at `positions`)."""
    ids = row.encoded.inputs["input_ids"]
    masked = ids.clone()
    masked[0, positions] = given.processor.mask_token_id
    with torch.no_grad():
        return float(logit_of(given.model, row)(ids) - logit_of(given.model, row)(masked))


def _content(row):
    return np.flatnonzero(row.encoded.content)


def test_captum_s_occlusion_is_what_each_token_is_missed_by(tiny):
    given, row = tiny
    result = CaptumPeers(given).attribute(row, MANY)["captum_occlusion"]
    np.testing.assert_allclose(result.attribution, [_without(given, row, [i]) for i in _content(row)], **CLOSE)
    assert (result.features, result.evaluations) == (len(_content(row)), len(_content(row)) + 1)


@needs_interpreto
def test_occlusion_is_what_each_token_is_missed_by(tiny, interpreto):
    given, row = tiny
    result = interpreto.attribute(row, MANY)["interpreto_occlusion"]
    np.testing.assert_allclose(result.attribution, [_without(given, row, [i]) for i in _content(row)], **CLOSE)
    assert (result.features, result.evaluations) == (len(_content(row)), len(_content(row)) + 1)


@needs_interpreto
def test_with_too_little_time_for_tokens_words_are_occluded_and_share_their_value(tiny, interpreto):
    given, row = tiny
    result = interpreto.attribute(row, len(_content(row)) - 1)["interpreto_occlusion"]
    words = tokenized(given.processor, row).word_ids(0)
    groups = [[i for i in _content(row) if words[i] == word] for word in dict.fromkeys(words[i] for i in _content(row))]
    assert max(map(len, groups)) > 1
    expected = np.zeros(row.encoded.length)
    for positions in groups:
        expected[positions] = _without(given, row, positions) / len(positions)
    np.testing.assert_allclose(result.attribution, expected[_content(row)], **CLOSE)


@needs_interpreto
def test_integrated_gradients_are_the_mean_magnitude_along_the_path(tiny, interpreto):
    """Literally as Interpreto has it: the trapezoid rule over mean |gradient × point|, from [MASK] embeddings to the words'."""
    given, row = tiny
    result = interpreto.attribute(row, 3 * SOME)["interpreto_integrated_gradients"]
    ids = row.encoded.inputs["input_ids"]
    baseline = ids.clone()
    baseline[0, _content(row)] = given.processor.mask_token_id
    x, x0 = (given.model.get_input_embeddings()(i).detach() for i in (ids, baseline))
    at_points = []
    for share in np.linspace(0, 1, SOME):
        point = (x0 + share * (x - x0)).float().requires_grad_()
        (gradient,) = torch.autograd.grad(logit_of(given.model, row)(point).sum(), point)
        at_points.append((gradient * point).abs().mean(-1)[0].detach().numpy())
    expected = np.trapezoid(np.array(at_points), dx=1 / (SOME - 1), axis=0)
    np.testing.assert_allclose(result.attribution, expected[_content(row)], **CLOSE)
    assert result.evaluations == SOME


@needs_interpreto
def test_kernel_shap_of_an_additive_model_is_each_token_s_own_share(tiny):
    """A model that adds up its tokens has one right answer, whichever coalitions were drawn."""
    from tests.benchmarks.faithfulness.interpreto_peers import open_peers

    given, row = tiny
    additive = AdditiveForSequenceClassification(given.model.config).eval()
    result = open_peers(replace(given, model=additive)).attribute(row, MANY)["interpreto_kernel_shap"]
    expected = [_without(replace(given, model=additive), row, [i]) for i in _content(row)]
    np.testing.assert_allclose(result.attribution, expected, rtol=1e-3, atol=1e-3)  # normal equations in float32
    assert (result.features, result.evaluations) == (len(expected), MANY)


@needs_interpreto
def test_the_least_budget_still_explains_every_token(tiny, interpreto):
    _, row = tiny
    results = interpreto.attribute(row, FEW)
    assert all(result.attribution.shape == _content(row).shape for result in results.values())
    assert results["interpreto_kernel_shap"].features == 2  # two sentences


@needs_ferret
def test_gradient_x_input_is_the_gradient_times_the_embedding(tiny, ferret):
    given, row = tiny
    point = given.model.get_input_embeddings()(row.encoded.inputs["input_ids"]).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(logit_of(given.model, row)(point).sum(), point)
    expected = (gradient * point).sum(-1)[0].detach().numpy()
    np.testing.assert_allclose(
        ferret.attribute(row, SOME)["ferret_gradient_x_input"].attribution, expected[_content(row)], **CLOSE
    )


@needs_ferret
def test_ferret_s_integrated_gradients_are_captum_s_from_padding(tiny, ferret):
    given, row = tiny
    ids = row.encoded.inputs["input_ids"]
    padding = ids.clone()
    padding[0, _content(row)] = given.processor.pad_token_id
    x, x0 = (given.model.get_input_embeddings()(i).detach() for i in (ids, padding))
    expected = IntegratedGradients(logit_of(given.model, row)).attribute(x, x0, n_steps=SOME)[0].sum(-1).detach().numpy()
    result = ferret.attribute(row, 3 * SOME)["ferret_integrated_gradients"]
    np.testing.assert_allclose(result.attribution, expected[_content(row)], **CLOSE)
    assert (result.evaluations, result.features) == (SOME, len(_content(row)))


def test_a_peer_that_would_explain_other_tokens_is_refused(tiny):
    given, row = tiny
    other = replace(row, example=row.example.model_copy(update={"text": "another film"}))
    with pytest.raises(RuntimeError, match="row a: a peer explains other tokens than CA-LIG"):
        tokenized(given.processor, other)


def test_what_is_not_installed_is_named_and_left_out(tiny, monkeypatch):
    monkeypatch.setattr(peers, "find_spec", lambda name: importlib.util.find_spec(name) if name == "captum" else None)
    opened = Peers(tiny[0])
    assert {name: opened.packages[name] for name in ("interpreto", "ferret")} == dict.fromkeys(
        ("interpreto", "ferret"), "not installed"
    )
    assert {name.split("_")[0] for name in opened.attribute(tiny[1])} == {"captum"}


@needs_interpreto
def test_a_tokenizer_without_a_mask_leaves_out_who_needs_one(tiny):
    given, _ = tiny
    without = copy.deepcopy(given.processor)
    without.mask_token = None
    assert Peers(replace(given, processor=without)).packages["interpreto"] == "needs a tokenizer with tokens: mask"


def test_a_row_s_figures_do_not_depend_on_the_rows_before_it(tiny, monkeypatch):
    monkeypatch.setattr(peers, "affordable", lambda *_: SOME)
    given, row = tiny
    opened = Peers(given)
    first, second = (opened.attribute(row) for _ in range(2))
    assert all(np.array_equal(first[name].attribution, second[name].attribution) for name in first)
