"""Explaining one shard: complete rows in the table's form, poison rows in their place, files that can be trusted."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from transformers import AutoTokenizer

from calig.blocks import BlockStack
from components import attribution
from components.common.errors import InputError
from components.common.file_digests import is_as_written
from schemas.attribution import SCHEMA
from schemas.config import AttributionConfig
from schemas.release import Example, ModelSnapshot
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import save_tiny_bert, save_tiny_vit

CPU = AttributionConfig(device="cpu")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> ModelSnapshot:
    return snapshot_of(save_tiny_bert(tmp_path_factory.mktemp("models") / "bert"))


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> ModelSnapshot:
    return snapshot_of(save_tiny_vit(tmp_path_factory.mktemp("models") / "vit"))


def texts(*items: str, **common: object) -> list[Example]:
    return [Example(row=i, id=f"r{i}", text=text, **common) for i, text in enumerate(items)]


def explained(snapshot: ModelSnapshot, examples: list[Example], folder: Path, config: AttributionConfig = CPU):
    told: list[int] = []
    shard = attribution.explain_shard(
        snapshot, examples, config, index=3, path=folder / "shards" / "s.parquet", progress=told.append
    )
    table = pq.read_table(shard.path)
    assert table.schema.equals(SCHEMA)
    assert sum(told) == len(examples)
    return shard, table.to_pylist()


def test_a_row_is_complete(bert, tmp_path):
    example = Example(row=7, id="a", text="a great film !", label="POS", segments={"source": "web"}, rationale=((2, 7),))
    shard, (row,) = explained(bert, [example], tmp_path)
    assert (shard.index, shard.n_rows, shard.n_explained, shard.baseline) == (3, 1, 1, "[MASK] tokens")
    assert (row["row"], row["id"], row["label"], row["problem"]) == (7, "a", "POS", None)
    assert dict(row["segments"]) == {"source": "web"}
    assert row["rationale"] == [{"start": 2, "end": 7}]
    assert row["rationales"] is None
    assert len(row["tokens"]) == len(row["values"]) == len(row["input_ids"]) == len(row["input_x_gradient"]) == 6
    assert sum(row["values"]) == pytest.approx(row["f_input"] - row["f_baseline"], abs=2e-3)
    assert [w["text"] for w in row["words"]] == ["a", "great", "film", "!"]
    assert row["converged"]


def test_rationales_of_several_annotators_are_kept(bert, tmp_path):
    example = Example(row=0, id="a", text="a great film !", rationales=(((2, 7),), ()))
    _, (row,) = explained(bert, [example], tmp_path)
    assert row["rationale"] is None
    assert row["rationales"] == [[{"start": 2, "end": 7}], []]


def test_poison_rows_keep_their_place_and_stop_nobody(bert, tmp_path):
    examples = texts("a good film", "\u200b", "dull")
    examples.append(Example(row=3, id="r3", text=" ", problem="the text is blank"))
    shard, rows = explained(bert, examples, tmp_path)
    assert [row["id"] for row in rows] == ["r0", "r1", "r2", "r3"]
    assert [row["problem"] is None for row in rows] == [True, False, True, False]
    assert rows[3]["problem"] == "the text is blank"
    assert rows[1]["values"] is None
    assert shard.n_explained == 2


def test_a_token_without_an_embedding_is_a_problem_of_its_row(tmp_path):
    folder = save_tiny_bert(tmp_path / "bert")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["unseen"])
    tokenizer.save_pretrained(folder)
    _, rows = explained(snapshot_of(folder), texts("a good film", "an unseen film", "a \ud800 film", "dull"), tmp_path)
    assert [row["problem"] is None for row in rows] == [True, False, False, True]
    assert "no embedding for the token 'unseen'" in rows[1]["problem"]
    assert "no valid Unicode" in rows[2]["problem"]


def test_a_row_whose_logits_are_not_the_models_own_is_a_problem_of_its_row(bert, tmp_path, monkeypatch):
    differences = BlockStack.differences
    monkeypatch.setattr(
        BlockStack, "differences", lambda *given: [0.5] if len(given[1].hidden[0][0]) == 4 else differences(*given)
    )
    _, rows = explained(bert, texts("a good film", "a film", "dull", "a good bad dull plot"), tmp_path)
    assert [row["problem"] is None for row in rows] == [True, False, True, True]
    assert "differ from the model's own by 0.5" in rows[1]["problem"]


def test_a_picture_that_cannot_be_read_is_reported(vit, tmp_path):
    Image.fromarray(np.zeros((16, 16, 3), dtype=np.uint8) + 90).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    examples = [Example(row=i, id=n, image=tmp_path / n) for i, n in enumerate(["good.png", "bad.png", "none.png"])]
    _, rows = explained(vit, examples, tmp_path)
    assert [row["problem"] is None for row in rows] == [True, False, False]
    assert "cannot be read" in rows[1]["problem"]
    assert rows[0]["input_ids"] == []


def test_a_gold_target_needs_a_label(bert, tmp_path):
    config = CPU.model_copy(update={"target": "gold"})
    examples = [*texts("a good film", label="NEG"), Example(row=1, id="r1", text="fine")]
    _, rows = explained(bert, examples, tmp_path, config)
    assert rows[0]["target"] == "NEG"
    assert "gold" in rows[1]["problem"]


def test_settings_that_fit_no_row_are_the_users_error(bert, tmp_path):
    with pytest.raises(InputError, match="allowed: predicted, gold, margin, NEG, POS"):
        explained(bert, texts("a film"), tmp_path, CPU.model_copy(update={"target": "MAYBE"}))


def test_a_changed_file_is_noticed(bert, tmp_path):
    shard, _ = explained(bert, texts("a film"), tmp_path)
    assert is_as_written(shard.path, shard.sha256)
    shard.path.write_bytes(shard.path.read_bytes() + b" ")
    assert not is_as_written(shard.path, shard.sha256)
    shard.path.unlink()
    assert not is_as_written(shard.path, shard.sha256)


def test_a_full_disk_leaves_no_part_of_a_file(bert, tmp_path, monkeypatch):
    def run_full(_table: object, where: Path, **_: object) -> None:
        where.write_bytes(b"PAR1, and then no more room")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq, "write_table", run_full)
    with pytest.raises(OSError, match="No space"):
        attribution.explain_shard(bert, texts("a great film"), CPU, index=0, path=tmp_path / "s.parquet")
    assert list(tmp_path.iterdir()) == []


def test_the_same_rows_give_the_same_file(bert, tmp_path):
    first, _ = explained(bert, texts("a film", "a good film"), tmp_path / "1")
    second, _ = explained(bert, texts("a film", "a good film"), tmp_path / "2")
    assert first.sha256 == second.sha256


def test_the_fingerprint_is_about_values_only():
    base = attribution.method_fingerprint(CPU)
    same = {"batch_tokens": 64, "shard_rows": 7, "device": "auto"}
    assert attribution.method_fingerprint(CPU.model_copy(update=same)) == base
    for change in ({"tolerance": 0.02}, {"fusion_coefficient": 0.3}, {"baseline": "pad"}, {"dtype": "float64"}):
        assert attribution.method_fingerprint(CPU.model_copy(update=change)) != base


class Work:
    """A clock that only work moves: seconds per token, 10 ms per call, 10 ms for every length not met before."""

    def __init__(self, token_s: float) -> None:
        self.token_s, self.now, self.met = token_s, 0.0, set()

    def monotonic(self) -> float:
        return self.now

    def attribute(self, _: ModelSnapshot, examples: list[Example], *__: object) -> None:
        lengths = [len(example.text.split()) + 2 for example in examples]
        self.now += 0.01 + self.token_s * sum(lengths) + 0.01 * len(set(lengths) - self.met)
        self.met |= set(lengths)


@pytest.mark.parametrize(
    ("token_s", "error"),
    [(1e-3, 1e-9), (1e-2, 0.02)],  # all groups passed twice; three of fifteen passed once, with what they met for the first time
)
def test_the_estimate_is_what_the_run_will_take(bert, monkeypatch, token_s, error):
    examples = texts(*["a great film " * n for n in range(1, 16) for _ in range(4)])
    work = Work(token_s)
    monkeypatch.setattr("components.attribution.estimation.time", work)
    monkeypatch.setattr("components.attribution.estimation.attribute_examples", work.attribute)
    run_s = 0.01 + token_s * 4 * sum(3 * n + 2 for n in range(1, 16))
    assert attribution.estimate(bert, examples, CPU).seconds == pytest.approx(run_s, rel=error)


def test_one_row_tells_how_long_a_run_is_at_most(bert, monkeypatch):
    """The middle row, 26 tokens, takes 0.28 s: 1.08 times its share of the run."""
    examples = texts(*["a great film " * n for n in range(1, 16) for _ in range(4)])
    work = Work(1e-2)
    monkeypatch.setattr("components.attribution.estimation.time", work)
    monkeypatch.setattr("components.attribution.estimation.attribute_examples", work.attribute)
    run_s = 1e-2 * 4 * sum(3 * n + 2 for n in range(1, 16))
    assert run_s < attribution.most_seconds(bert, examples, CPU) <= 1.2 * run_s
    assert work.now < 0.04 * run_s
    assert attribution.most_seconds(bert, [], CPU) == 0.0


def test_the_estimate_passes_rows_and_counts_memory(bert):
    expected = attribution.estimate(bert, texts("a great film", "a film"), CPU)
    assert expected.seconds > 0
    assert 2**27 < expected.peak_bytes < 2**33  # a process with torch in it, and what a tiny model adds
    assert attribution.estimate(bert, [], CPU).seconds == 0.0


@pytest.mark.parametrize(("peaked", "expected"), [(850, 1100), (2000, 2000)])
def test_the_heap_keeps_the_largest_group_s_memory_once_more(bert, monkeypatch, peaked, expected):
    """900 bytes held after the largest group, 700 once they are given back: 200 of the group, and as much in gaps."""
    held = iter([900, 700])
    module = "components.attribution.estimation"
    monkeypatch.setattr(f"{module}.own_resident_bytes", lambda: next(held))
    monkeypatch.setattr(f"{module}.peak_resident_bytes", lambda: peaked)
    monkeypatch.setattr(f"{module}.attribute_examples", lambda *_: None)
    found = attribution.estimate(bert, texts("a great film"), CPU)
    assert (found.peak_bytes, found.resident_bytes) == (expected, expected)


def test_rows_under_many_fusions_are_the_table_s_rows(bert, tmp_path):
    examples = texts("a great film", "a dull film")
    rows = attribution.attribute_under(attribution.GRID, bert, examples, CPU, None)
    table = pq.read_table(explained(bert, examples, tmp_path)[0].path).to_pylist()
    own = attribution.GRID.index(CPU.fusion)
    for (row, values), stored in zip(rows, table, strict=True):
        assert row["id"] == stored["id"]
        np.testing.assert_allclose(values[own], stored["values"], rtol=1e-6)
        np.testing.assert_allclose(values[0], np.mean(stored["layer_attributions"], axis=0), rtol=1e-6)
    assert len(set(attribution.GRID)) == len(attribution.GRID) == 63


def pairs(*items: tuple[str, str]) -> list[Example]:
    return [Example(row=i, id=f"r{i}", text=a, text_pair=b) for i, (a, b) in enumerate(items)]


def test_a_pair_is_a_row_with_both_texts(bert, tmp_path):
    _, (row,) = explained(bert, pairs(("a great film !", "it is bad")), tmp_path)
    assert (row["text"], row["pair_start"]) == ("a great film !\nit is bad", 15)
    assert [row["text"][word["start"] : word["end"]] for word in row["words"]] == ["a", "great", "film", "!", "it", "is", "bad"]
    of_tokens = [row["text"][a:b] for a, b in zip(row["starts"], row["ends"], strict=True) if a >= 0]
    assert of_tokens == row["text"].split()
    assert row["token_types"] == [0] * 6 + [1] * 4
    assert sum(row["values"]) == pytest.approx(row["f_input"] - row["f_baseline"], abs=2e-3)


def test_one_side_of_a_pair_is_kept(bert, tmp_path):
    both, first = (
        explained(bert, pairs(("a great film !", "it is bad")), tmp_path, CPU.model_copy(update={"explain": side}))[1][0]
        for side in ("both", "text")
    )
    assert [word["text"] for word in first["words"]] == ["a", "great", "film", "!"]
    assert first["content"] == [False, *[True] * 4, *[False] * 5]
    assert first["values"][6:9] == [0.0] * 3
    assert (first["text"], first["f_input"]) == (both["text"], both["f_input"])
    assert first["f_baseline"] != both["f_baseline"]


def test_a_side_is_part_of_the_method_and_both_changes_nothing():
    prints = {side: CPU.model_copy(update={"explain": side}).fingerprint() for side in ("both", "text", "text_pair")}
    assert len(set(prints.values())) == 3
    assert prints["both"] == CPU.fingerprint()


def test_pairs_that_a_tokenizer_cannot_take_are_problems_of_their_rows(bert, tmp_path):
    _, rows = explained(bert, [*pairs(("a film", "\x00"), ("a film", "a plot"))], tmp_path)
    assert [row["problem"] is None for row in rows] == [False, True]
    assert rows[0]["pair_start"] == 7
