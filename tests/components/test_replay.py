"""Replaying compares row by row: bit for bit, within a tolerance, or why not at all; and says what is not as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components import replay
from components.common.errors import InputError
from schemas.attribution import SCHEMA
from schemas.evidence import ReplayOutcome, RowReplay
from tests.helpers import sample_records, sample_tables


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("published")
    table = pq.read_table(sample_tables.text_table(folder / "all", sample_tables.reviews(12, 1), seed=2, boost={}))
    pq.write_table(table.slice(0, 5), folder / "shard-0.parquet")
    pq.write_table(table.slice(5), folder / "shard-1.parquet")
    return [folder / "shard-0.parquet", folder / "shard-1.parquet"]


@pytest.fixture
def again(published: list[Path], tmp_path: Path):
    """Some rows written once more, one of them with changes."""

    def written(numbers: list[int], at: int | None = None, **changes: Any) -> Path:
        rows = [row for path in published for row in pq.read_table(path).to_pylist()]
        chosen = [rows[n] | (changes if n == at else {}) for n in numbers]
        pq.write_table(pa.Table.from_pylist(chosen, schema=SCHEMA), tmp_path / "again.parquet")
        return tmp_path / "again.parquet"

    return written


def test_the_same_rows_in_another_container_are_exact(published, again) -> None:
    found = replay.compare_rows(published, again([7, 2, 12]))
    assert [(row.row, row.exact, row.change) for row in found] == [(7, True, 0.0), (2, True, 0.0), (12, True, 0.0)]


def test_a_change_is_relative_to_the_rows_own_attribution(published, again) -> None:
    row = pq.read_table(published[0]).to_pylist()[3]
    values = np.array(row["values"])
    nudged = values + 1e-4 * np.abs(values)
    found = replay.compare_rows(published, again([2, 3], at=3, values=nudged.tolist()))
    assert [one.exact for one in found] == [True, False]
    assert found[1].change == pytest.approx(1e-4, rel=2e-2)  # float32 keeps seven digits of the values
    layers = np.array(row["layers"])
    layers[1] *= 1.5
    (found,) = replay.compare_rows(published, again([3], at=3, layers=layers.tolist(), n_points=[1, 1, 1, 1, 1, 1]))
    assert found.change == pytest.approx(0.5, rel=1e-5)
    assert found.note == "other path points were chosen"


def test_another_answer_or_other_tokens_cannot_be_compared(published, again) -> None:
    (found,) = replay.compare_rows(published, again([3], at=3, target="other", tokens=["x"]))
    assert (found.exact, found.change) == (False, None)
    assert found.note == "not the same: target, tokens"


def test_nothing_that_became_something_is_no_rounding(published, again, tmp_path: Path) -> None:
    row = pq.read_table(published[0]).to_pylist()[3]
    zero = [0.0] * len(row["values"])
    pq.write_table(pa.Table.from_pylist([row | {"values": zero}], schema=SCHEMA), tmp_path / "zero.parquet")
    (found,) = replay.compare_rows([tmp_path / "zero.parquet"], again([3]))
    assert found.change == float("inf")


@pytest.mark.parametrize(
    ("changes", "causes", "outcome", "beyond"),
    [
        ([0.0, 0.0], (), ReplayOutcome.EXACT, []),
        ([0.0, 1e-3], (), ReplayOutcome.WITHIN, []),
        ([2e-3, 0.0, 5e-3], (), ReplayOutcome.DIFFERS, [2, 0]),
        ([5e-3, None], (), ReplayOutcome.DIFFERS, [1, 0]),
        ([0.0, float("nan")], (), ReplayOutcome.DIFFERS, [1]),
        ([0.0], ("the weights: other",), ReplayOutcome.DIFFERS, []),
    ],
)
def test_the_outcome_follows_from_rows_tolerance_and_causes(changes, causes, outcome: ReplayOutcome, beyond: list[int]) -> None:
    rows = [RowReplay(row=i, id=str(i), exact=change == 0.0, change=change) for i, change in enumerate(changes)]
    assert replay.outcome_of(rows, 1e-3, causes) is outcome
    assert [row.row for row in replay.rows_beyond(rows, 1e-3)] == beyond


def test_a_row_that_was_never_published_is_bad_input(published, again) -> None:
    with pytest.raises(InputError, match="do not hold"):
        replay.compare_rows(published[:1], again([7]))


def test_what_is_not_as_it_was_is_listed(tmp_path: Path) -> None:
    record = sample_records.first_release(tmp_path, n=20).record
    env = record.environment
    assert replay.environment_changes(record, env, "sdpa") == ()
    now = env.model_copy(
        update={
            "libraries": env.libraries | {"torch": "9.9"},
            "device_versions": {"processor": "another", "threads": "2"},
            "device": "cuda",
        }
    )
    found = {change.name: (change.recorded, change.now) for change in replay.environment_changes(record, now, "eager")}
    assert found == {
        "attention kernel": ("sdpa", "eager"),
        "device": (env.device, "cuda"),
        "torch": ("2.13.0", "9.9"),
        "processor": ("a processor", "another"),
    }
    other = record.model.model_copy(update={"weights_digest": "00" * 32})
    assert replay.identity_changes(record, record.model, record.method.formula_version) == ()
    causes = replay.identity_changes(record, other, "7")
    assert [cause.split(":")[0] for cause in causes] == ["the weights", "the formula's version"]
