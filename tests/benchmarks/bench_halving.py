"""Compare the probe's verdicts and cost by successive halving with all words in all contexts. `make bench-halving`.

On simulated noise, at the sizes of real vocabularies; and on the pairs of retrained classifiers that `make bench-drift` left in
its work folder (`--drift-work build/drift/draw-N`), whose vocabularies of hundreds of words are halved by the same shares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from calig.metrics.perturbation import FloatArray
from components.probe import compare_effects, find_finalists, n_texts, rounds_of
from components.probe.contexts import with_gap
from components.probe.effects import less_neutral
from components.probe.halving import AT_LARGE
from schemas.base import CheckVerdict
from schemas.config import ProbeConfig
from schemas.probe import ProbeContext, ProbeReport, ProbeRound
from tests.benchmarks.bench_calibration import LAWS, Setting, simulated_versions
from tests.benchmarks.bench_drift import CONFIG
from tests.benchmarks.drift.cells import Cell
from tests.benchmarks.drift.comparing import CONDITIONS, AskedWords, Comparison
from tests.benchmarks.drift.judging import sides_again
from tests.benchmarks.drift.plan import pairs
from tests.benchmarks.drift.versions import Versions
from tests.benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results" / "halving.json"

#: Planted words, shifts over their noise; the first one stands alone in a comparison.
PLANTED = (6.0, 8.0, 10.0, 14.0)
SIZES, TWINS, NOISE = (3_000, 30_000), (0, 2), ("alike", "d₀ 6")
CONTEXTS = [with_gap(f"a film {n}", (1.0, 0.0, 0.5, 0.0)[n % 4]) for n in range(16)]
_DATED = "2026-11-29"

#: Words at large in the small vocabularies of `make bench-drift`.
_AT_LARGE_OF_FEW = 100

DrawsOption = Annotated[int, typer.Option("--draws", min=2, help="Comparisons per setting.")]
WorkOption = Annotated[Path | None, typer.Option("--drift-work", help="Folder of a draw that `make bench-drift` has made.")]


@dataclass(frozen=True)
class Outcome:
    """One comparison: what it found by all words in all contexts, and by halving."""

    fails: tuple[bool, bool]
    finds: tuple[bool, bool]


def bench(*, draws: DrawsOption = 20, seed: int = 20261129, drift_work: WorkOption = None, output: Path = RESULTS) -> None:
    """Simulate every setting, replay the pairs of a draw, write JSON, print a table."""
    started = perf_counter()
    settings = list(product(SIZES, TWINS, NOISE, (None, *PLANTED)))
    lines = [line_of(*setting, draws, seed) for setting in track(settings, description="settings")]
    command = f"python -m tests.benchmarks.bench_halving --draws {draws} --seed {seed}"
    report: dict[str, Any] = {"command": command, "date": datetime.now(UTC).date().isoformat(), "machine": describe()}
    report |= {"texts": {n: [16 * n, n_texts(rounds_of(n, 16))] for n in SIZES}, "lines": lines}
    if drift_work is not None:
        report |= {"retrained": replayed(drift_work)}
    report |= {"seconds": round(perf_counter() - started)}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    Console(width=150).print(table(report))
    if "retrained" in report:
        typer.echo(json.dumps({name: value for name, value in report["retrained"].items() if name != "differing"}))


def line_of(n_words: int, n_twins: int, law: str, planted: float | None, draws: int, seed: int) -> dict[str, Any]:
    """How often each way fails a version, and finds its planted word."""
    setting = Setting(law, True, n_words, n_twins)
    random = np.random.default_rng([seed, n_words, n_twins, list(LAWS).index(law), round(planted or 0)])
    outcomes = [_outcome(setting, planted, random) for _ in range(draws)]
    line = {"words": n_words, "twins": n_twins, "noise": law, "planted": planted, "draws": draws}
    fails, finds = (np.sum([getattr(one, name) for one in outcomes], axis=0).tolist() for name in ("fails", "finds"))
    return line | {"fail": fails, "found": finds}


def _outcome(setting: Setting, planted: float | None, random: np.random.Generator) -> Outcome:
    versions = simulated_versions(setting, LAWS[setting.law], () if planted is None else (planted,), random)
    words = [f"w{number}" for number in range(setting.n_words)]
    reports = _both_ways(versions, words, CONTEXTS, rounds_of(len(words), len(CONTEXTS)))
    fails = tuple(report.verdict is CheckVerdict.FAIL for report in reports)
    finds = tuple(planted is not None and any(w.word == "w0" and w.severity for w in report.words) for report in reports)
    return Outcome(fails, finds)  # type: ignore[arg-type]


def _both_ways(
    effects: Sequence[FloatArray],
    words: Sequence[str],
    contexts: Sequence[ProbeContext],
    rounds: Sequence[ProbeRound],
    *,
    labels: Sequence[str] = ("NEG", "POS"),
    config: ProbeConfig | None = None,
    n_at_large: int = AT_LARGE,
    **details: Any,
) -> tuple[ProbeReport, ProbeReport]:
    """The reports by all words in all contexts, and by halving."""
    number, column = ({name: place for place, name in enumerate(names)} for names in (words, contexts))
    settings: dict[str, Any] = {"labels": labels, "config": config or ProbeConfig(min_effect=0.0), "decided_on": _DATED} | details
    scales = [settings["typical"][0] / margin for margin in settings.get("typical", ())]

    def score(some: Sequence[str], where: Sequence[ProbeContext]) -> list[FloatArray]:
        places = np.ix_([number[word] for word in some], [column[context] for context in where])
        return [of_version[places] for of_version in effects]

    centred = [less_neutral(of_version) for of_version in effects]
    of_all = compare_effects(centred[0], centred[1], words, contexts, twins=centred[2:], **settings)
    found = find_finalists(score, words, contexts, rounds, scales=scales, n_at_large=n_at_large)
    one, other, *twins = found.effects
    return of_all, compare_effects(one, other, found.words, contexts, twins=twins, search=found.search, **settings)


def replayed(folder: Path) -> dict[str, Any]:
    """Verdicts of the words of all finished pairs of a draw, both ways."""
    agreed, differing, texts = 0, [], [0, 0]
    for key, condition, asked in _asked(folder):
        rounds = _rounds_of_few(len(asked.words), len(asked.contexts))
        question = asked.question | {"n_at_large": _AT_LARGE_OF_FEW}
        of_all, halved = _both_ways(asked.effects, asked.words, asked.contexts, rounds, **question)
        texts = [texts[0] + len(asked.words) * len(asked.contexts), texts[1] + n_texts(rounds)]
        agreed += of_all.verdict is halved.verdict
        if of_all.verdict is not halved.verdict:
            differing.append({"pair": key, "noise": condition, "all": _first(of_all), "halving": _first(halved)})
    return {"comparisons": agreed + len(differing), "agreed": agreed, "texts": texts, "differing": differing}


def _rounds_of_few(n_words: int, n_contexts: int) -> list[ProbeRound]:
    """The product's shares for a vocabulary that it would not halve."""
    entering = [n_words, *(min(n_words, n_words // share + _AT_LARGE_OF_FEW) for share in (8, 32))]
    return [ProbeRound(n_words=n, n_contexts=c) for n, c in zip(entering, (1, 4, n_contexts), strict=True)]


def _first(report: ProbeReport) -> dict[str, Any]:
    """The verdict and its first word."""
    first = report.words[0]
    return {"verdict": report.verdict.value, "word": first.word, "shift": round(first.shift, 3), "z": round(first.z, 2)}


def _asked(folder: Path) -> Iterator[tuple[str, str, AskedWords]]:
    """What the probe compares in every judged pair of the draw, with each way to know the noise; nothing is scored again."""
    draw = int(folder.name.removeprefix("draw-"))
    lines = {pair.key: pair for pair in pairs()}
    for stored in sorted(folder.glob("cell-*/pairs.jsonl")):
        judged = [line for line in map(json.loads, stored.read_text(encoding="utf-8").splitlines()) if "verdicts" in line]
        versions = Versions(Cell(int(stored.parent.name.removeprefix("cell-")), draw), stored.parent, CONFIG.attribution)
        for line in track(judged, description=stored.parent.name):
            sides = sides_again(lines[line["key"]], versions, line["discarded"])
            comparison = Comparison(sides, versions.kept, CONFIG, _DATED)
            yield from ((line["key"], condition, comparison.words(condition)) for condition in CONDITIONS)


def table(report: dict[str, Any]) -> Table:
    """Setting by setting."""
    title = f"all words in all contexts → by halving; {report['lines'][0]['draws']} comparisons each"
    result = Table("words", "texts per version", "twins", "noise of words", "planted", "fail", "planted word named", title=title)
    for line in report["lines"]:
        texts = report["texts"][line["words"]]
        planted = "none" if line["planted"] is None else f"{line['planted']:g} times the noise"
        counts = (" → ".join(f"{n:,}" for n in texts), *(" → ".join(map(str, line[name])) for name in ("fail", "found")))
        result.add_row(f"{line['words']:,}", counts[0], str(line["twins"]), line["noise"], planted, counts[1], counts[2])
    return result


if __name__ == "__main__":
    typer.run(bench)
