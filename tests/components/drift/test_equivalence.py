"""Versions that behave alike have the same reasons: attributions and verdict follow what a model does, not how it is stored."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from components import attribution, drift
from components.drift.pairing import Pairs, unmatched_targets
from components.table.rows import read_rows
from schemas.base import CheckVerdict
from schemas.config import AttributionConfig, DriftConfig, PipelineConfig
from schemas.release import Example
from tests.helpers.drift_tables import profile
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import WORDS, save_tiny_bert

LABELS = ("NEG", "NEUTRAL", "POS")
CONFIG = PipelineConfig(attribution=AttributionConfig(device="cpu", dtype="float64"), drift=DriftConfig(min_tested_mass=0.2))
N_ROWS, N_EXPOSED = 40, 12

#: Two units in the last place of the table's float32; the passes are float64, and the nodes of the integral stay the same.
TOLERANCE = {"rtol": 3e-7, "atol": 1e-8}

Change = Callable[[Any], None]


def common_vector(model: Any) -> None:
    """What all classes have in common changes no probability: the double of a model, of any head and bias."""
    random = torch.Generator().manual_seed(5)
    model.classifier.weight += 2 * torch.randn(model.config.hidden_size, generator=random, dtype=torch.float64)
    model.classifier.bias += 3.0


def permuted_neurons(model: Any) -> None:
    """The neurons of every feed-forward layer in another order."""
    for layer in model.bert.encoder.layer:
        order = torch.randperm(model.config.intermediate_size, generator=torch.Generator().manual_seed(1))
        layer.intermediate.dense.weight.data = layer.intermediate.dense.weight[order]
        layer.intermediate.dense.bias.data = layer.intermediate.dense.bias[order]
        layer.output.dense.weight.data = layer.output.dense.weight[:, order]


def permuted_heads(model: Any) -> None:
    """The attention heads of every block in another order."""
    n, size = model.config.num_attention_heads, model.config.hidden_size
    order = torch.arange(size).view(n, -1)[torch.randperm(n, generator=torch.Generator().manual_seed(2))].flatten()
    for layer in model.bert.encoder.layer:
        for linear in (layer.attention.self.query, layer.attention.self.key, layer.attention.self.value):
            linear.weight.data, linear.bias.data = linear.weight[order], linear.bias[order]
        layer.attention.output.dense.weight.data = layer.attention.output.dense.weight[:, order]


def rescaled_layer_norm(model: Any) -> None:
    """A larger gain of the last LayerNorm, undone by the linear layer that reads it."""
    scale = torch.linspace(0.2, 5.0, model.config.hidden_size, dtype=torch.float64)
    norm = model.bert.encoder.layer[-1].output.LayerNorm
    norm.weight *= scale
    norm.bias *= scale
    model.bert.pooler.dense.weight /= scale


def reordered_labels(model: Any) -> None:
    """The classes in another order, head and names alike."""
    order = list(range(len(model.config.id2label)))[::-1]
    names = [model.config.id2label[i] for i in order]
    model.classifier.weight.data, model.classifier.bias.data = model.classifier.weight[order], model.classifier.bias[order]
    model.config.id2label = dict(enumerate(names))
    model.config.label2id = {name: i for i, name in enumerate(names)}


EQUIVALENT: dict[str, Change] = {
    change.__name__: change for change in (common_vector, permuted_neurons, permuted_heads, rescaled_layer_norm, reordered_labels)
}


def examples() -> list[Example]:
    """Short sentences of the tiny vocabulary; “btw” opens some of them."""
    random = np.random.default_rng(0)
    words = [w for w in WORDS if w != "btw"]
    made = [" ".join([*(["btw"] if i < N_EXPOSED else []), *random.choice(words, 6)]) for i in range(N_ROWS)]
    return [Example(row=i, id=str(i), text=text, segments={}) for i, text in enumerate(made)]


def saved(folder: Path, model: Any, like: Path) -> Path:
    """The model with the tokenizer of the folder `like`."""
    from transformers import AutoTokenizer

    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(like).save_pretrained(folder)
    return folder


def loaded(folder: Path) -> Any:
    from transformers import BertForSequenceClassification

    return BertForSequenceClassification.from_pretrained(folder).double().eval()


def planted(model: Any, tokenizer: Any) -> Any:
    """The model with “btw” speaking for POS: its embedding is moved until it does, and nothing else is."""
    model = copy.deepcopy(model)
    row, table = tokenizer.convert_tokens_to_ids("btw"), model.get_input_embeddings().weight
    model.requires_grad_(False)
    table.requires_grad_(True)
    inputs = tokenizer([e.text for e in examples()[:N_EXPOSED]], return_tensors="pt", padding=True)
    optimizer = torch.optim.Adam([table], lr=0.3)
    for _ in range(15):
        logits = model(**inputs).logits
        loss = (logits[:, 0] - logits[:, -1]).mean()
        table.grad = torch.autograd.grad(loss, table)[0]
        table.grad[torch.arange(len(table)) != row] = 0
        optimizer.step()
    return model.requires_grad_(False)


class Versions:
    """A reference, a version with a planted word, and whatever is made of them, explained once each."""

    def __init__(self, folder: Path, labels: tuple[str, ...]) -> None:
        from transformers import AutoTokenizer

        self.folder, self.labels = folder, labels
        self.first = save_tiny_bert(folder / "reference", labels=labels)
        self.models = {"reference": loaded(self.first)}
        self.models["planted"] = planted(self.models["reference"], AutoTokenizer.from_pretrained(self.first))
        self.tables: dict[tuple[str, str], Path] = {}

    def changed(self, name: str, change: Change) -> str:
        """The version `name` after `change`; its name."""
        model = copy.deepcopy(self.models[name])
        with torch.no_grad():
            change(model)
        self.models[f"{name}-{change.__name__}"] = model
        return f"{name}-{change.__name__}"

    def table(self, name: str, objective: str = "centred", wanted: dict[str, Any] | None = None) -> Path:
        """Its attribution table; of the rows in `wanted` alone toward the targets given there."""
        if (name, objective) in self.tables and wanted is None:
            return self.tables[name, objective]
        model, folder = self.models[name], self.folder / name
        if not (folder / "tokenizer.json").exists() or name != "reference":
            saved(folder, model, self.first)
        path = self.folder / f"{name}-{objective}{'' if wanted is None else '-toward'}.parquet"
        settings = CONFIG.attribution.model_copy(update={"objective": objective})
        rows, targets = examples(), None
        if wanted is not None:
            rows = [row for row in rows if row.id in wanted]
            targets = attribution.targets_of([model.config.id2label[i] for i in range(len(self.labels))], wanted)
        attribution.explain_shard(snapshot_of(folder), rows, settings, index=0, path=path, targets=targets)
        if wanted is None:
            self.tables[name, objective] = path
        return path

    def compared(self, reference: str, candidate: str, objective: str = "centred") -> Any:
        """The drift report, changed answers explained toward the reference's targets."""
        tables = [self.table(name, objective) for name in (reference, candidate)]
        wanted = unmatched_targets([tables[0]], [tables[1]])
        again = [self.table(candidate, objective, wanted)] if wanted else []
        names = {name: tuple(self.models[name].config.id2label.values()) for name in (reference, candidate)}
        return drift.compare(
            [tables[1]],
            profile(tables[0], labels=names[reference]),
            method_fingerprint="f",
            dataset_digest="d",
            labels=names[candidate],
            config=CONFIG,
            decided_on="2026-01-01",
            toward_reference=again,
        )


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    return Versions(tmp_path_factory.mktemp("versions"), LABELS)


def values(path: Path) -> np.ndarray:
    return np.concatenate([row["values"] for row in pq.read_table(path).to_pylist()])


def shifts(report: Any) -> dict[tuple[str, str], float]:
    return {(s.word, s.slice): s.shift if s.toward == "POS" else -s.shift for s in report.word_shifts}


@pytest.mark.parametrize("name", EQUIVALENT)
def test_an_equivalent_version_has_the_same_attributions(versions, name):
    same = versions.changed("planted", EQUIVALENT[name])
    np.testing.assert_allclose(values(versions.table(same)), values(versions.table("planted")), **TOLERANCE)


@pytest.mark.parametrize("name", EQUIVALENT)
def test_an_equivalent_version_gets_the_same_verdict(versions, name):
    """As candidate it fails as the planted version does, word for word; as reference it accuses nobody who is equivalent."""
    same = versions.changed("planted", EQUIVALENT[name])
    before, after = (versions.compared("reference", candidate) for candidate in ("planted", same))
    assert before.verdict is after.verdict is CheckVerdict.FAIL
    assert "btw" in {s.word for s in after.word_shifts if s.fires}
    assert shifts(after) == pytest.approx(shifts(before), rel=1e-5, abs=1e-8)
    nothing = versions.compared("planted", same)
    assert nothing.verdict is CheckVerdict.PASS
    assert max(map(abs, shifts(nothing).values())) < 1e-6


def test_one_logit_alone_is_deceived(versions):
    """What the suite is for: one logit of the double holds the common vector too, and its attributions are others."""
    double = versions.changed("planted", common_vector)
    logit = [values(versions.table(name, "logit")) for name in ("planted", double)]
    assert np.abs(logit[0] - logit[1]).max() > 0.1 * np.abs(logit[0]).max()


def test_changed_answers_are_compared(versions):
    """With three classes a planted word changes answers: all rows are compared, those by the reference's answer."""
    report = versions.compared("reference", "planted")
    assert report.flipped > 0
    assert report.coverage.n_compared == N_ROWS
    tables = [versions.table(name) for name in ("reference", "planted")]
    without = Pairs(*(read_rows([path]) for path in tables), LABELS)
    assert len(list(without)) < N_ROWS
    assert without.coverage.no_common_class == len(unmatched_targets([tables[0]], [tables[1]])) >= report.flipped > 0


def test_rows_toward_the_reference_s_target_explain_that_function(versions):
    tables = [versions.table(name) for name in ("reference", "planted")]
    wanted = unmatched_targets([tables[0]], [tables[1]])
    again = read_rows([versions.table("planted", wanted=wanted)])
    own = read_rows([tables[1]])
    for key, row in again.items():
        assert row["target"] == wanted[key]["target"] == read_rows([tables[0]])[key]["predicted"]
        assert row["predicted"] == own[key]["predicted"] != row["target"]
        assert sum(row["values"]) == pytest.approx(row["f_input"] - row["f_baseline"], abs=1e-5)
