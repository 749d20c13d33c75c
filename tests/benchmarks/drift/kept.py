"""What versions were found to do, kept in a folder: attributions row by row, and logits of probed words context by context."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from calig.metrics.perturbation import FloatArray
from components import attribution, drift, probe
from schemas.config import AttributionConfig
from schemas.probe import ProbeContext
from schemas.release import Example
from tests.benchmarks.drift.families import Row
from tests.benchmarks.drift.scoring import scorer
from tests.helpers.snapshots import snapshot_of


class Kept:
    """Results under `folder`: a row once explained costs nothing again, nor does a context that words were once scored in."""

    def __init__(self, folder: Path, config: AttributionConfig) -> None:
        self.folder, self.config = folder, config
        self._margins: dict[tuple[Path, str], float] = {}

    def explained(self, version: Path, rows: Sequence[Row]) -> Path:
        """The attribution table of a version on `rows`, by the engine."""
        path = self.folder / "tables" / f"{version.name}-{digest(rows)}.parquet"
        if not path.is_file():
            self._explain_missing(version, rows)
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(_in_order(self._known(version), rows), path)
        return path

    def toward(self, reference: Path, version: Path, rows: Sequence[Row]) -> list[Path]:
        """Tables of the rows that the two versions explain toward different targets, explained toward the reference's."""
        ours, theirs = self.explained(version, rows), self.explained(reference, rows)
        path = self.folder / "toward" / f"{reference.name}-{ours.name}"
        targets = drift.unmatched_targets([theirs], [ours])
        if not targets or path.is_file():
            return [path] if targets else []
        snapshot, some = snapshot_of(version), [example for example in examples(rows) if example.id in targets]
        found = attribution.targets_of(snapshot.labels, targets)
        attribution.explain_shard(snapshot, some, self.config, index=0, path=path, targets=found)
        return [path]

    def margins(self, version: Path, words: Sequence[str], contexts: Sequence[ProbeContext]) -> FloatArray:
        """Margins `words contexts directions` of the words under a version."""
        folder = self.folder / "logits" / version.name
        kept = [probe.KeptLogits(folder, version_digest=version.name, contexts=[context]) for context in contexts]
        return probe.margins_of(np.concatenate([one.logits(scorer(version), words) for one in kept], axis=1))

    def logits(self, version: Path, texts: Sequence[str]) -> FloatArray:
        """Logits `texts classes` of a version, a text once scored costs nothing again."""
        folder = self.folder / "logits" / version.name
        kept = probe.KeptLogits(folder, version_digest=version.name, contexts=[ProbeContext(before="", after="")])
        return np.asarray(kept.logits(scorer(version), texts)[:, 0])

    def margin(self, version: Path, texts: Sequence[str]) -> float:
        """How firmly a version decides on the texts."""
        key = (version, hashlib.sha256("\n".join(texts).encode()).hexdigest())
        if key not in self._margins:
            self._margins[key] = probe.typical_margin(scorer(version)(texts))
        return self._margins[key]

    def _explain_missing(self, version: Path, rows: Sequence[Row]) -> None:
        known = set(self._known(version)["text"].to_pylist()) if self._parts(version) else set()
        missing = list({row.text: row for row in rows if row.text not in known}.values())
        if missing:
            path = self.folder / "rows" / version.name / f"{digest(missing)}.parquet"
            attribution.explain_shard(snapshot_of(version), examples(missing), self.config, index=0, path=path)

    def _known(self, version: Path) -> pa.Table:
        return pa.concat_tables([pq.read_table(part) for part in self._parts(version)])

    def _parts(self, version: Path) -> list[Path]:
        return sorted((self.folder / "rows" / version.name).glob("*.parquet"))


def examples(rows: Sequence[Row]) -> list[Example]:
    """The rows as a data set's examples."""
    return [Example(row=i, id=str(i), text=r.text, label=r.label, segments={"part": r.segment}) for i, r in enumerate(rows)]


def digest(rows: Sequence[Row]) -> str:
    """Digest of the rows, in order."""
    return hashlib.sha256(json.dumps([asdict(row) for row in rows]).encode()).hexdigest()[:16]


def _in_order(known: pa.Table, rows: Sequence[Row]) -> pa.Table:
    """The table of `rows` from one that holds all their texts: what is explained does not depend on label or segment."""
    places = {text: place for place, text in enumerate(known["text"].to_pylist())}
    made = known.take([places[row.text] for row in rows])
    own = {"row": range(len(rows)), "id": [str(i) for i in range(len(rows))]}
    own |= {"label": [row.label for row in rows], "segments": [[("part", row.segment)] for row in rows]}
    for name, values in own.items():
        place = made.schema.get_field_index(name)
        made = made.set_column(place, made.schema.field(place), pa.array(list(values), made.schema.field(place).type))
    return made
