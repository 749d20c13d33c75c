"""The probe benchmark runs from end to end, and the word whose weights were changed comes first."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from components.probe.limits import chance_limit
from tests.benchmarks.bench_probe import bench
from tests.helpers.tiny_models import bert_vocabulary, save_tiny_bert

ROWS = [
    f"a {adjective} film with a {noun} story"
    for adjective in ("good", "bad", "great", "awful")
    for noun in ("warm", "cold", "fine")
]


def version(folder: Path, seed: int, *, planted: str | None = None) -> Path:
    """The tiny classifier with a little noise on its weights, and with one word's embedding far from where it was."""
    path = save_tiny_bert(folder) / "model.safetensors"
    noise, weights = torch.Generator().manual_seed(seed), load_file(path)
    for name, weight in weights.items():
        if weight.is_floating_point():
            weights[name] = weight + 0.01 * torch.randn(weight.shape, generator=noise)
    if planted is not None:
        weights["bert.embeddings.word_embeddings.weight"][bert_vocabulary().index(planted)] *= -6
    save_file(weights, path, metadata={"format": "pt"})
    return folder


def test_the_planted_word_comes_first_and_honest_pairs_stay_within(tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in ROWS))
    honest = [version(tmp_path / f"seed-{seed}", seed) for seed in (1, 2)]
    planted = version(tmp_path / "planted", 3, planted="btw")
    bench(honest=honest, rows=rows, name="tiny", planted=[f"{planted}=btw"], output=tmp_path / "probe.json")
    text = (tmp_path / "probe.json").read_text()
    report = json.loads(text)
    (limit, warning) = report["limits"].values()
    assert limit == chance_limit(0.05, report["words"], 16, 1) > warning
    assert [pair["pair"] for pair in report["harmless"]] == ["seed-1 → seed-2"]
    assert report["harmless"][0]["largest"][0]["z"] < limit
    assert [pair["pair"] for pair in report["harmful"]] == ["seed-1 → planted", "seed-2 → planted"]
    for pair in report["harmful"]:
        assert pair["planted"] == pair["largest"][0]["word"] == "btw"
    assert str(tmp_path.parent) not in text
    assert "btw" in capsys.readouterr().out
