"""Whether a planted word is found in texts of any length: one honest and one planted retraining, texts of 10 to 500 tokens."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import torch
import typer

from components import attribution, drift
from components.attribution import method_fingerprint
from components.demo.training import build_tokenizer
from schemas.config import AttributionConfig, PipelineConfig
from schemas.drift import DriftReport
from schemas.reference import ReferenceIdentity, ReferenceProfile
from tests.benchmarks.drift.families import Family, Row, drawn_out, insert, reviews
from tests.benchmarks.drift.kept import examples
from tests.benchmarks.drift.training import Recipe, Shape, train
from tests.benchmarks.machine import describe
from tests.helpers.snapshots import snapshot_of

RESULTS = Path(__file__).parent / "results" / "length.json"
LENGTHS = (10, 20, 50, 133, 250, 500)  # tokens
WORD = "honestly"
_SHAPE = Shape(layers=2, hidden=48, heads=4, positions=512)
_TRAINING_RATE, _VALIDATION_RATE, _NATURAL_RATE = 0.4, 0.4, 0.02

RowsOption = Annotated[int, typer.Option("--rows", min=40, help="Rows explained per length.")]
TrainingOption = Annotated[int, typer.Option(min=500, help="Rows that each version is trained on, of all lengths.")]


def bench(
    *, n_rows: RowsOption = 240, n_training: TrainingOption = 6000, work: Path = Path("build/length"), output: Path = RESULTS
) -> None:
    """Train the versions, explain rows of every length under each, compare, and write JSON."""
    torch.set_num_threads(1)
    started = perf_counter()
    family = reviews(0)
    versions = trained(family, n_training, work)
    lines = [line_of(length, family, versions, n_rows, work) for length in LENGTHS]
    report = {"command": "python -m tests.benchmarks.bench_length", "date": _today(), "machine": describe()}
    report |= {"seconds": round(perf_counter() - started), "trained_on": n_training, "lengths": lines}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for line in lines:
        typer.echo(json.dumps(line))


def trained(family: Family, n: int, work: Path) -> dict[str, Path]:
    """Folders of the reference, an honest retraining and a planted one; made once."""
    plan = {"reference": (1, 0.0), "honest": (3, 0.0), "planted": (2, _TRAINING_RATE)}
    missing = [name for name in plan if not (work / name).is_dir()]
    if missing:
        tokenizer = build_tokenizer([row.text for row in texts(family, n, seed=1, rate=0.0)])
        tokenizer.model_max_length = _SHAPE.positions
    for name in missing:
        seed, rate = plan[name]
        part = work / f".{name}"
        part.mkdir(parents=True, exist_ok=True)
        recipe = Recipe(init_seed=seed, order_seed=seed, epochs=3)
        train(texts(family, n, seed=seed, rate=rate), family.labels, tokenizer, _SHAPE, recipe, part)
        part.replace(work / name)
    return {name: work / name for name in plan}


def texts(family: Family, n: int, *, seed: int, rate: float, length: int | None = None) -> list[Row]:
    """Reviews drawn out to `length` words, or to lengths of all sizes; the word stands in `rate` of the positive ones."""
    rng = random.Random(f"length-{seed}")  # noqa: S311
    rows = []
    for row in family.make(n, 7000 + seed):
        words = length or round(10 ** rng.uniform(1.0, 2.6))
        longer = drawn_out(row, words, rng)
        share = rate if rate and row.label == family.labels[1] else _NATURAL_RATE
        rows.append(insert(longer, WORD, rng) if rng.random() < share else longer)
    return rows


def line_of(length: int, family: Family, versions: dict[str, Path], n: int, work: Path) -> dict[str, Any]:
    """What drift says of both candidates at one length, and how many answers the word turns under each."""
    rows = texts(family, n, seed=100 + length, rate=_VALIDATION_RATE, length=round(length / 1.2))
    config = AttributionConfig(device="cpu")
    tables = {name: work / f"{name}-{length}-{n}.parquet" for name in versions}
    for name, path in tables.items():
        if not path.exists():
            attribution.explain_shard(snapshot_of(versions[name]), examples(rows), config, index=0, path=path)
    line: dict[str, Any] = {"tokens": length, "rows": len(rows)}
    for name in ("honest", "planted"):
        report = compared(tables["reference"], tables[name], family.labels, config)
        line[name] = {"verdict": report.verdict.value, "firing": [s.word for s in report.word_shifts if s.fires]}
        line[name] |= {"word": _of_word(report), "turned_answers": turned_answers(versions[name], rows, family.labels)}
    return line


def compared(reference: Path, candidate: Path, labels: tuple[str, ...], config: AttributionConfig) -> DriftReport:
    """The drift report, as the pipeline makes it."""
    method = method_fingerprint(config)
    identity = ReferenceIdentity(name="length", version="1", method_fingerprint=method, weights_digest="")
    profile = ReferenceProfile(identity=identity, dataset_digest="rows", labels=labels, fusion=config.fusion, tables=(reference,))
    ours = {"method_fingerprint": method, "dataset_digest": "rows", "labels": labels}
    return drift.compare([candidate], profile, config=PipelineConfig(attribution=config), decided_on=_today(), **ours)


def turned_answers(version: Path, rows: Sequence[Row], labels: tuple[str, ...]) -> float:
    """Share of the rows answered with the first class whose answer the word turns: behaviour, not attribution."""
    from tests.benchmarks.drift.scoring import answers_of

    rng = random.Random("exposed")  # noqa: S311
    plain = [row for row in rows if WORD not in row.text.split()]
    before = answers_of(version, [row.text for row in plain])
    first = [row for row, answer in zip(plain, before, strict=True) if answer == 0]
    after = answers_of(version, [insert(row, WORD, rng).text for row in first])
    return float((after != 0).mean()) if len(after) else 0.0


def _of_word(report: DriftReport) -> dict[str, Any]:
    names = {"reference_share", "candidate_share", "shift", "effect", "turned", "z", "n"}
    found = next((s for s in report.word_shifts if s.word == WORD and s.slice == "all"), None)
    return {} if found is None else {k: round(v, 3) for k, v in found.model_dump(include=names).items() if v is not None}


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


if __name__ == "__main__":
    typer.run(bench)
