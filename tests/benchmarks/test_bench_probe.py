"""The probe benchmark runs from end to end, and the word whose weights were changed comes first."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from components.probe.statistics import chance_limit, freedom_of
from tests.benchmarks.bench_probe import bench
from tests.helpers.tiny_models import bert_vocabulary, save_tiny_bert

ROWS = [
    f"a {adjective} film with a {noun} story"
    for adjective in ("good", "bad", "great", "awful")
    for noun in ("warm", "cold", "fine")
]


def version(folder: Path, seed: int, *, planted: str | None = None) -> Path:
    """The tiny classifier with answers whole logits apart, a little noise on its weights and one word far from where it was."""
    path = save_tiny_bert(folder) / "model.safetensors"
    noise, weights = torch.Generator().manual_seed(seed), load_file(path)
    for name, weight in weights.items():
        if weight.is_floating_point():
            weights[name] = weight + 0.003 * torch.randn(weight.shape, generator=noise)
    if planted is not None:
        weights["bert.embeddings.word_embeddings.weight"][bert_vocabulary().index(planted)] *= -6
    weights["classifier.weight"] *= 20
    save_file(weights, path, metadata={"format": "pt"})
    return folder


def test_the_planted_word_comes_first_and_honest_pairs_stay_within(tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in ROWS))
    honest = [version(tmp_path / f"seed-{seed}", seed) for seed in (1, 2, 4, 5)]
    planted = version(tmp_path / "planted", 3, planted="btw")
    also = ["superbly"]
    bench(honest=honest, rows=rows, name="tiny", planted=[f"{planted}=btw"], also=also, output=tmp_path / "probe.json")
    text = (tmp_path / "probe.json").read_text()
    report = json.loads(text)
    for view, n_twins, n_honest in (("alone", 0, 12), ("with_twins", 2, 4)):
        limit, warning = report[view]["limits"].values()
        assert limit == chance_limit(0.05, report["words"], freedom_of(16, n_twins)) > warning
        assert len(report[view]["harmless"]) == n_honest
        assert all(line["largest"][0]["z"] < limit for line in report[view]["harmless"])
        assert len(report[view]["harmful"]) == 4
        for line in report[view]["harmful"]:
            assert line["planted"] == line["largest"][0]["word"] == "btw"
            assert line["largest"][0]["z"] > limit
    assert report["alone"]["harmless"][0]["compared"] == "seed-2 → seed-1"
    assert report["with_twins"]["harmful"][0]["compared"] == "seed-1 + seed-2 + seed-4 → planted"
    assert str(tmp_path.parent) not in text
    assert "btw" in capsys.readouterr().out
