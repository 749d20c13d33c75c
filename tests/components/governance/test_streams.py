"""The record's sums as rows stream past, against literal versions that hold every row; and its memory as rows grow."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from calig.metrics import statistics
from components.common.intervals import mean_and_interval
from components.governance import build_record, unjudged_quality
from components.governance.results import model_results
from components.governance.tally import Row, RowTally
from components.table.gold import EXPLAINED_LABEL, decided, decisions_of, error_of, id_for_label, output_of, own_id
from components.table.reader import iter_rows
from schemas.base import CheckVerdict
from schemas.config import PipelineConfig, QualityConfig
from schemas.drift import DriftReport
from schemas.governance import GovernanceReport
from schemas.shards import ShardResult
from tests.helpers import sample_records
from tests.helpers.attribution_tables import BagOfWords, attribution_row, problem_row, write_table

LABELS = ("a", "b", "c")
MODEL = BagOfWords()
N = 150


def drawn(kind: str, seed: int) -> Iterator[dict[str, Any]]:
    """Rows of a random table; of every row of a data set of several labels, one for each of its gold labels."""
    random = np.random.default_rng([5, seed])
    for i in range(N):
        if random.random() < 0.4:
            yield problem_row(i) | {"id": f"p{i}", "problem": f"problem {i % 3}"}
            continue
        common = {
            "segments": [("site", "xyz"[random.integers(3)])] if random.random() < 0.9 else [],
            "coverage": 1.0 if random.random() < 0.7 else float(random.random()),
            "windows": [{"start": 0, "end": 9}] if random.random() < 0.2 else None,
            "n_points": random.integers(1, 130, size=2).tolist(),
            "converged": bool(random.random() < 0.8),
        }
        for answers in answered(kind, i, random):
            row = attribution_row(i, model=MODEL) | common | answers
            yield row | {"segments": [*common["segments"], *answers.get("segments", [])]}


def answered(kind: str, i: int, random: np.random.Generator) -> list[dict[str, Any]]:
    """What the model said of row `i` and what is known of it, once for every row of the table that stands for it."""
    known = random.random() < 0.8
    if kind == "classes":
        return [{"label": str(random.choice(["NEG", "POS"])) if known else None}]
    if kind == "regression":
        gold = float(random.normal(3, 2)) if known else None
        output = float(random.normal(3, 2)) if random.random() < 0.95 else float("nan")
        weights = [("rating", 1.0)]
        return [{"label": None, "gold_value": gold, "logits": [output], "predicted": "rating", "target_weights": weights}]
    logits = random.normal(size=3).tolist()
    own: dict[str, Any] = {"label": None, "logits": logits, "gold_labels": [name for name in LABELS if random.random() < 0.5]}
    own |= {"predicted": LABELS[int(np.argmax(logits))], "objective": ["logit", "margin"][i % 2]}
    if not known:
        return [own | {"gold_labels": None, "target_weights": [(name, float(name == "a")) for name in LABELS]}]
    return [
        own
        | {"id": id_for_label(f"r{i}", label), "segments": [(EXPLAINED_LABEL, label)]}
        | {"target_weights": [(name, float(name == label)) for name in LABELS]}
        for label in LABELS
    ]


def written(folder: Path, kind: str, seed: int) -> list[Path]:
    return write_table(folder, [{"id": f"r{i}"} | row for i, row in enumerate(drawn(kind, seed))], shards=7)


def literal_data(table: list[Row]) -> dict[str, Any]:
    """What the record says of its rows, from all rows at once."""
    rows = [row for row in table if row["problem"] is None]
    skipped = [row for row in table if row["problem"] is not None]
    coverage, points = [row["coverage"] for row in rows], [n for row in rows for n in row["n_points"]]
    of_segment = {
        column: Counter(value for row in rows if (value := (row["segments"] or {}).get(column)) is not None)
        for column in ("site", EXPLAINED_LABEL, "absent")
    }
    return {
        "counts": (len(rows), len(skipped), sum(c < 1.0 for c in coverage), sum(row["windows"] is not None for row in rows)),
        "skipped": [(row["id"], row["row"], row["problem"]) for row in skipped[:50]],
        "coverage": float(np.mean(coverage)),
        "segments": {column: list(found.items()) for column, found in of_segment.items()},
        "method": (", ".join(sorted({row["objective"] for row in rows})), len(rows[0]["n_points"]), float(np.mean(points))),
    }


def stated_data(record: GovernanceReport) -> dict[str, Any]:
    data, method = record.data, record.method
    return {
        "counts": (data.n_explained, data.n_skipped, data.n_truncated, data.n_windowed),
        "skipped": [(row.id, row.row, row.problem) for row in data.skipped],
        "coverage": data.coverage,
        "segments": {column: list(found.items()) for column, found in data.segments.items()},
        "method": (method.objective, method.n_layers, method.mean_points),
    }


def literal_results(table: list[Row], config: QualityConfig) -> dict[str, Any]:
    """What the record says of the model, from all rows at once; rows of one row of the file need not stand together."""
    explained = [row for row in table if row["problem"] is None]
    rows = list({own_id(row): row for row in explained}.values())
    outputs = [output for row in rows if (output := output_of(row)) is not None]
    made = [found for row in rows if (found := decisions_of(row)) is not None]
    pairs = [(error, row["gold_value"]) for row in rows if (error := error_of(row)) is not None]
    right, decisions = sum(one.right for one in made), sum(one.made for one in made)
    return {
        "accuracy": right / decisions if made else None,
        "interval": literal_interval([one.right / one.made for one in made], decisions, config) if made else None,
        "n_labelled": len(pairs) if outputs else len(made),
        "labels": literal_labels([(decided(row), row["gold_labels"]) for row in rows if row["gold_labels"] is not None]),
        "regression": literal_regression(pairs, config) if pairs else None,
        "outputs": literal_outputs(outputs),
        "unconverged": sum(not row["converged"] for row in explained),
        "predictions": {} if outputs else dict(sorted(Counter(row["predicted"] for row in explained).items())),
    }


def literal_interval(shares: list[float], decisions: int, config: QualityConfig) -> tuple[float, float]:
    if decisions > len(shares):
        interval = mean_and_interval(np.array(shares), config)[1]
        return interval.low, interval.high
    return tuple(binomtest(int(sum(shares)), len(shares)).proportion_ci(config.confidence, method="wilson"))


def literal_labels(known: list[tuple[Any, list[str]]]) -> list[tuple[Any, ...]]:
    """Of each label: name, rows, rows that have it, and the shares of right, of given that are gold, of gold that are given."""
    found = []
    for name in LABELS if known else ():
        cells = Counter((answers[name], name in gold) for answers, gold in known)
        both, given, missed = cells[True, True], cells[True, False], cells[False, True]
        right = (both + cells[False, False]) / len(known)
        found.append((name, len(known), both + missed, right, both / (both + given), both / (both + missed)))
    return found


def literal_regression(pairs: list[tuple[float, float]], config: QualityConfig) -> tuple[float, ...]:
    errors, gold = np.array([error for error, _ in pairs]), np.array([number for _, number in pairs])
    mean, interval = mean_and_interval(np.abs(errors), config)
    r_squared = 1 - float((errors**2).sum()) / float(((gold - gold.mean()) ** 2).sum())
    return len(pairs), mean, interval.low, interval.high, float(np.sqrt((errors**2).mean())), r_squared


def literal_outputs(outputs: list[float]) -> tuple[float, ...] | None:
    if not outputs:
        return None
    known = np.array([output for output in outputs if np.isfinite(output)])
    typical = float(np.median(np.abs(known - np.median(known))))
    return (*np.quantile(known, [0.0, 0.05, 0.5, 0.95, 1.0]).tolist(), typical)


def stated_results(record: GovernanceReport) -> dict[str, Any]:
    found = record.results
    interval, numbers = found.accuracy_interval, found.regression
    return {
        "accuracy": found.accuracy,
        "interval": interval and (interval.low, interval.high),
        "n_labelled": found.n_labelled,
        "labels": [(one.label, one.n, one.n_gold, one.accuracy, one.precision, one.recall) for one in found.labels],
        "regression": numbers
        and (
            numbers.n,
            numbers.mean_absolute_error,
            numbers.mean_absolute_error_interval.low,
            numbers.mean_absolute_error_interval.high,
            numbers.root_mean_squared_error,
            numbers.r_squared,
        ),
        "outputs": found.outputs and tuple(found.outputs.model_dump().values()),
        "unconverged": found.unconverged,
        "predictions": found.predictions,
    }


def built(tables: list[Path], folder: Path) -> GovernanceReport:
    sample = sample_records.first_release(folder, n=5).record
    common = {"sha256": "00" * 32, "seconds": 1.0, "attention_kernel": "sdpa", "device": "cpu", "baseline": "[MASK] tokens"}
    columns = ("site", EXPLAINED_LABEL, "absent")
    shards = [ShardResult(index=i, path=p, n_rows=1, n_explained=1, device_versions={}, **common) for i, p in enumerate(tables)]
    return build_record(
        fingerprint="ab" * 16,
        formula_version="2",
        method_fingerprint="cd" * 32,
        model=sample.model,
        dataset=sample.data.dataset.model_copy(update={"segment_columns": columns}),
        shards=shards,
        config=PipelineConfig(),
        fusion_choice=None,
        quality=unjudged_quality("default", "not tried"),
        drift=DriftReport(verdict=CheckVerdict.NOT_APPLICABLE, reason="first release"),
        probe=None,
        signing_key=None,
        stage_seconds={},
        created_at=datetime(2026, 11, 2, tzinfo=UTC),
    )


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", ["classes", "several", "regression"])
def test_what_the_record_says_is_what_all_rows_at_once_say(kind: str, seed: int, tmp_path: Path) -> None:
    """Bit for bit: the same numbers are summed in the same order."""
    tables = written(tmp_path, kind, seed)
    table, record = list(iter_rows(tables, Row)), built(tables, tmp_path)
    assert stated_data(record) == literal_data(table)
    assert stated_results(record) == literal_results(table, record.config.quality)
    assert len(record.data.skipped) == 50 < record.data.n_skipped


def test_labels_of_one_row_count_once_across_shards(tmp_path: Path) -> None:
    """The case is in the tables: somewhere a row of the file goes over the end of a shard."""
    tables = written(tmp_path, "several", 0)
    ends = [[own_id(row) for row in iter_rows([path], Row, explained=True)] for path in tables]
    assert any(before[-1] == after[0] for before, after in pairwise(ends))
    n_own = len({own_id(row) for row in iter_rows(tables, Row, explained=True) if row["gold_labels"] is not None})
    assert built(tables, tmp_path).results.n_labelled == n_own


def test_without_an_explained_row_nothing_is_said() -> None:
    rows = RowTally(("site",))
    assert list(rows.explained([])) == []
    assert (rows.coverage, rows.mean_points, rows.n_layers, rows.segments) == (None, 0.0, 0, {"site": {}})


def peak_of(n: int, some: list[Row]) -> int:
    """Most bytes that Python and NumPy hold while `n` rows like `some` are counted."""
    rows, config = RowTally(("site",)), QualityConfig(bootstrap_draws=100)
    stream = ({**some[i % len(some)], "id": str(i), "segments": {"site": "x"}} for i in range(n))
    tracemalloc.start()
    model_results(rows.explained(stream), config)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("kind", ["classes", "several", "regression"])
def test_memory_does_not_grow_with_rows(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row costs its numbers, eight bytes each, and some columns while statistics look at them; as an object over a kB."""
    monkeypatch.setattr(statistics, "_BLOCK", 1)  # the bootstrap's block has a bound that so few rows do not reach
    some = list(iter_rows(written(tmp_path, kind, 0), Row, explained=True))
    first = peak_of(3000, some)
    assert (peak_of(9000, some) - first) / 6000 < 100
