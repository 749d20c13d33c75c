"""The table of scored rows: a file per shard, then all of them as one, whose columns are read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any
from weakref import finalize

import numpy as np

from calig.metrics.perturbation import FloatArray
from components.common.whole_files import written_whole
from components.quality.scores.falsification import findings_of
from components.quality.scores.frame import METHODS, SEGMENT, column_names
from components.quality.scores.rows import ScoredRows
from schemas.config import QualityConfig
from schemas.quality import Falsification
from schemas.shards import ScoredShard

if TYPE_CHECKING:
    import pyarrow as pa

_CURVES = "curves"
_TEXTS = frozenset({"id", "label", "predicted", "target"})
_COUNTS = frozenset({"row", "n_tokens", "unconverged", "non_finite", "truncated"})

#: Rows of a group of the joint file: some megabytes while it is written, few groups to look through.
_GROUP_ROWS = 4096


def write_shard(scored: ScoredRows, path: Path) -> None:
    """The scored rows of one shard as a Parquet file: the columns of the frame, and the curves of the rows that have some."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: pa.array(scored.frame[name], _type(name), from_pandas=True) for name in scored.frame.columns}
    curves: list[FloatArray | None] = [None] * len(scored.frame)
    for place, curve in zip(np.flatnonzero(scored.compared), scored.curves, strict=True):
        curves[place] = curve.reshape(-1)
    table = pa.table(columns | {_CURVES: pa.array(curves, pa.list_(pa.float64()))})
    with written_whole(path) as part:
        pq.write_table(table, part, compression="zstd")


class CurveSums:
    """Mean curves by method and kind, over rows that are added part by part, in the order and with the sum of all at once."""

    def __init__(self, n_points: int) -> None:
        self._sums = np.zeros((len(METHODS), 2, n_points))
        self._n = np.zeros((len(METHODS), 2), dtype=np.int64)

    def add(self, curves: FloatArray) -> None:
        """Curves `rows methods 2 points`; those a row lacks are NaN and do not count."""
        known = ~np.isnan(curves[..., 0])
        rows = np.where(known[..., None], curves, 0.0)
        self._sums = np.add.reduce(np.concatenate([self._sums[None], rows]), axis=0)
        self._n += known.sum(axis=0)

    def mean(self, method: str, side: int) -> FloatArray | None:
        """`points`; None when no row has such a curve. side: 0 deletion, 1 insertion."""
        place = METHODS.index(method), side
        return np.asarray(self._sums[place] / self._n[place]) if self._n[place] else None


class ScoredTable:
    """All rows that have an attribution, on disk: memory holds the columns that are asked for, while they are used.

    `table["name"]` is a pandas Series, `table[["a", "b"]]` a DataFrame, as of a DataFrame with all columns
    (schemas/expectations/default.yaml). curves: means over the rows that the controls are measured on. n_skipped: rows without an
    attribution. problem_type: what the model's logits mean.
    """

    def __init__(self, shards: Sequence[ScoredShard], found: Falsification | None, config: QualityConfig) -> None:
        self.n_skipped = sum(shard.n_skipped for shard in shards)
        self.problem_type = shards[0].problem_type
        self.curves = CurveSums(2 + len(config.fractions))
        segments = dict.fromkeys(name for shard in shards for name in shard.segments)
        self.columns = tuple(column_names(config, list(segments)))
        self._folder = Path(mkdtemp(prefix="calig-scored-"))
        finalize(self, rmtree, self._folder, ignore_errors=True)
        self._n = 0
        self._join([shard.path for shard in shards], found)

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, asked: str | list[str]) -> Any:
        import pyarrow.parquet as pq

        names = [asked] if isinstance(asked, str) else asked
        with pq.ParquetFile(self._path) as file:
            table = file.read(columns=names, use_threads=False).select(names)
        return table.to_pandas(split_blocks=True, self_destruct=True)[asked]

    @property
    def _path(self) -> Path:
        return self._folder / "rows.parquet"

    def _join(self, paths: Iterable[Path], found: Falsification | None) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([(name, _type(name)) for name in self.columns])
        with pq.ParquetWriter(self._path, schema) as writer:
            for group in _groups(self._read(path, schema, found) for path in paths):
                writer.write_table(group)
                self._n += len(group)

    def _read(self, path: Path, schema: pa.Schema, found: Falsification | None) -> pa.Table:
        """A shard's rows with all columns; its curves are added up."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            part = file.read(use_threads=False)
        curves = [curve for curve in part[_CURVES].to_pylist() if curve is not None]
        if curves:
            self.curves.add(np.array(curves).reshape(len(curves), len(METHODS), 2, -1))
        columns = {name: part[name] for name in part.column_names if name != _CURVES}
        columns |= {name: pa.array(values) for name, values in findings_of(part["row"].to_pylist(), found).items()}
        for name in schema.names:
            if name.startswith(SEGMENT):  # any other column that a part lacks is an error
                columns.setdefault(name, pa.nulls(len(part), pa.string()))
        return pa.table(columns).select(schema.names).cast(schema)


def _groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The tables joined to groups of a few thousand rows."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= _GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _type(name: str) -> pa.DataType:
    import pyarrow as pa

    if name in _TEXTS or name.startswith(SEGMENT):
        return pa.string()
    return pa.int64() if name in _COUNTS else pa.float64()
