"""How far words move between honest retrainings of one model, against the probe's limits. `make bench-probe`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from calig.metrics.perturbation import FloatArray
from components import probe
from components.probe.limits import chance_limit
from components.probe.statistics import shifts
from components.scoring.models import open_classifier
from components.scoring.scorer import TokenScorer
from components.scoring.tokenizing import load_tokenizer
from schemas.config import ProbeConfig
from tests.benchmarks.machine import describe
from tests.helpers.snapshots import snapshot_of

RESULTS = Path(__file__).parent / "results" / "probe.json"
_CANDIDATES = 200
_LONGEST = 128  # tokens

HonestOption = Annotated[
    list[Path], typer.Option("--honest", help="Folder of an honest training; two or more, the first chooses the contexts.")
]
PlantedOption = Annotated[
    list[str] | None, typer.Option("--planted", help="FOLDER=WORD: a training with a word planted, against each honest one.")
]
RowsOption = Annotated[Path, typer.Option(help="JSONL with a `text` in every line: where contexts come from.")]
NameOption = Annotated[str, typer.Option(help="What the models are, for the results.")]
WordsOption = Annotated[int, typer.Option(min=30, help="Most words probed.")]


def bench(
    *,
    honest: HonestOption,
    rows: RowsOption,
    name: NameOption,
    planted: PlantedOption = None,
    words: WordsOption = 12_000,
    output: Path = RESULTS,
) -> None:
    """Probe every pair, write JSON and print a table."""
    config = ProbeConfig(max_words=words)
    planted_words = dict(item.rsplit("=", 1) for item in planted or [])
    folders = [*honest, *map(Path, planted_words)]
    known, effects = _effects(folders, rows, config)
    pair, n = partial(_pair, folders, effects, known), len(honest)
    command = f"python -m tests.benchmarks.bench_probe --words {words}"
    report: dict[str, Any] = {"command": command, "date": datetime.now(UTC).date().isoformat(), "machine": describe()}
    report |= {"models": name, "words": len(known), "contexts": config.contexts}
    report["limits"] = {
        f"level {level:g}": chance_limit(level, *effects[0].shape) for level in (config.level, config.warning_level)
    }
    report["harmless"] = [pair(a, b) for a, b in combinations(range(n), 2)]
    marked = enumerate(planted_words.values(), start=n)
    report["harmful"] = [pair(a, b) | {"planted": word} for b, word in marked for a in range(n)]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    Console(width=120).print(table(report))


def table(report: dict[str, Any]) -> Table:
    """Pair by pair, the largest |z| first."""
    limits = ", ".join(f"{name}: {z:.2f}" for name, z in report["limits"].items())
    result = Table(
        "pair", "kind", "words of the largest |z|", title=f"{report['models']}: {report['words']:,} words, limits {limits}"
    )
    for kind in ("harmless", "harmful"):
        for pair in sorted(report[kind], key=lambda p: -p["largest"][0]["z"]):
            shown = ", ".join(f"{w['word']} {w['z']:.1f}" for w in pair["largest"])
            result.add_row(pair["pair"], pair.get("planted", kind), shown)
    return result


def _effects(folders: Sequence[Path], rows: Path, config: ProbeConfig) -> tuple[list[str], list[FloatArray]]:
    """The words, and each model's effects `words contexts directions`."""
    texts = [json.loads(line)["text"] for line in rows.read_text(encoding="utf-8").splitlines()]
    tokenizer, _ = load_tokenizer(snapshot_of(folders[0]))
    scorers = [_scorer(folder, tokenizer) for folder in folders]
    data_words = [word for word, _ in probe.count_words(texts).most_common()]
    known, _ = probe.known_words([tokenizer], data_words=data_words, limit=config.max_words)
    contexts = probe.choose_contexts(scorers[0], probe.context_candidates(texts, limit=_CANDIDATES), config.contexts)
    return known, [probe.word_effects(scorer, known, contexts) for scorer in track(scorers, description="models")]


def _scorer(folder: Path, tokenizer: Any) -> probe.TextScorer:
    classifier = open_classifier(snapshot_of(folder), device="cpu")
    tokens = TokenScorer(classifier.run, classifier.collator, n_classes=classifier.n_classes)
    return probe.text_scorer(tokenizer, tokens.logits, max_length=_LONGEST)


def _pair(folders: Sequence[Path], effects: Sequence[FloatArray], words: Sequence[str], a: int, b: int) -> dict[str, Any]:
    """The three words that stand out most between two models."""
    found = shifts(effects[a], effects[b])
    z = np.abs(found.z).max(axis=1)
    top = np.argsort(-z)[:3].tolist()
    return {"pair": f"{folders[a].name} → {folders[b].name}", "largest": [{"word": words[i], "z": float(z[i])} for i in top]}


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    typer.run(bench)
