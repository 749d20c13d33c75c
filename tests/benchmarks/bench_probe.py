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
from components.probe.statistics import chance_limit, freedom_of, shifts
from components.scoring.batches import load_tokenizer
from components.scoring.models import open_classifier
from components.scoring.scorer import TokenScorer
from schemas.config import ProbeConfig
from tests.benchmarks.machine import describe
from tests.helpers.snapshots import snapshot_of

RESULTS = Path(__file__).parent / "results" / "probe.json"
_CANDIDATES = 200
_LONGEST = 128  # tokens
_MIN_SHIFT = 1.0  # logits: the least change that counts here

HonestOption = Annotated[
    list[Path], typer.Option("--honest", help="Folder of an honest training; two or more, the first chooses the contexts.")
]
PlantedOption = Annotated[
    list[str] | None, typer.Option("--planted", help="FOLDER=WORD: a training with a word planted, against each honest one.")
]
RowsOption = Annotated[Path, typer.Option(help="JSONL with a `text` in every line: where contexts come from.")]
NameOption = Annotated[str, typer.Option(help="What the models are, for the results.")]
AlsoOption = Annotated[
    list[str] | None, typer.Option("--also", help="A word to probe whatever the tokenizer makes of it, as probe.word_list does.")
]
WordsOption = Annotated[int, typer.Option(min=30, help="Most words probed.")]


def bench(
    *,
    honest: HonestOption,
    rows: RowsOption,
    name: NameOption,
    planted: PlantedOption = None,
    also: AlsoOption = None,
    words: WordsOption = 12_000,
    output: Path = RESULTS,
) -> None:
    """Probe every version against each honest one, and against all honest ones but one together; write JSON, print a table."""
    config, names = ProbeConfig(max_words=words), dict(item.rsplit("=", 1) for item in planted or [])
    folders = [*honest, *map(Path, names)]
    known, effects = _effects(folders, rows, config, also or [])
    listed = "".join(f" --also {word}" for word in also or [])
    report: dict[str, Any] = {"command": f"python -m tests.benchmarks.bench_probe --words {words}{listed}"}
    report |= {"date": datetime.now(UTC).date().isoformat(), "machine": describe()}
    report |= {"models": name, "words": len(known), "contexts": config.contexts}
    compared = partial(_compared, folders, effects, known, _MIN_SHIFT)
    for view, size in (("alone", 1), ("with_twins", len(honest) - 1)):
        families = [(family, b) for b in range(len(folders)) for family in _families(len(honest), size, b)]
        report[view] = {
            "limits": _limits(config, effects[0].shape, size - 1),
            "harmless": [compared(family, b) for family, b in families if b < len(honest)],
            "harmful": [compared(family, b) | {"planted": names[str(folders[b])]} for family, b in families if b >= len(honest)],
        }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    Console(width=120).print(table(report))


def table(report: dict[str, Any]) -> Table:
    """Comparison by comparison, the largest |z| first."""
    result = Table("compared", "kind", "words of the largest |z|", title=f"{report['models']}: {report['words']:,} words")
    for view in ("alone", "with_twins"):
        limits = ", ".join(f"{name}: {z:.2f}" for name, z in report[view]["limits"].items())
        result.add_section()
        result.add_row("noise not measured" if view == "alone" else "noise measured on twins", "", f"limits {limits}")
        for kind in ("harmless", "harmful"):
            for line in sorted(report[view][kind], key=lambda line: -line["largest"][0]["z"]):
                shown = ", ".join(f"{w['word']} {w['z']:.1f}" for w in line["largest"])
                result.add_row(line["compared"], line.get("planted", kind), shown)
    return result


def _families(n_honest: int, size: int, candidate: int) -> list[tuple[int, ...]]:
    """Honest versions, `size` of them, that a candidate is held against; the first is the reference."""
    return list(combinations([version for version in range(n_honest) if version != candidate], size))


def _limits(config: ProbeConfig, shape: tuple[int, ...], n_twins: int) -> dict[str, float]:
    n_words, n_contexts, n_directions = shape
    freedom = freedom_of(n_contexts, n_twins)
    levels = (config.level, config.warning_level)
    return {f"level {level:g}": chance_limit(level, n_words * n_directions, freedom) for level in levels}


def _effects(
    folders: Sequence[Path], rows: Path, config: ProbeConfig, listed: Sequence[str]
) -> tuple[list[str], list[FloatArray]]:
    """The words, and each model's effects `words contexts directions`."""
    texts = [json.loads(line)["text"] for line in rows.read_text(encoding="utf-8").splitlines()]
    tokenizer, _ = load_tokenizer(snapshot_of(folders[0]))
    scorers = [_scorer(folder, tokenizer) for folder in folders]
    data_words = [word for word, _ in probe.count_words(texts).most_common()]
    known = probe.known_words([tokenizer], data_words=data_words, listed=listed, limit=config.max_words).words
    contexts = probe.choose_contexts(scorers[0], probe.context_candidates(texts, limit=_CANDIDATES), config.contexts)
    return known, [probe.word_effects(scorer, known, contexts) for scorer in track(scorers, description="models")]


def _scorer(folder: Path, tokenizer: Any) -> probe.TextScorer:
    classifier = open_classifier(snapshot_of(folder), device="cpu")
    tokens = TokenScorer(classifier.run, classifier.collator, n_classes=classifier.n_classes)
    return probe.text_scorer(tokenizer, tokens.logits, max_length=_LONGEST)


def _compared(
    folders: Sequence[Path],
    effects: Sequence[FloatArray],
    words: Sequence[str],
    min_shift: float,
    family: Sequence[int],
    candidate: int,
) -> dict[str, Any]:
    """The three words that stand out most between a candidate and a family of honest versions, among those that can fire."""
    reference, *twins = (effects[version] for version in family)
    found = shifts(reference, effects[candidate], twins=twins)
    z = np.where(np.abs(found.mean) >= min_shift, np.abs(found.z), 0).max(axis=1)
    top = np.argsort(-z)[:3].tolist()
    of = " + ".join(folders[version].name for version in family)
    largest = [{"word": words[i], "z": float(z[i])} for i in top]
    return {"compared": f"{of} → {folders[candidate].name}", "largest": largest}


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    typer.run(bench)
