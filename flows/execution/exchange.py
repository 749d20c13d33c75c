"""Shared storage for shards: uploads rows and the model, downloads tables.

Without a store that is the output folder, and threads of this process need neither rows nor model to be put anywhere.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from components import registry
from components.common.errors import CouldNotRunError
from components.common.file_digests import is_as_written
from components.common.stores import Store
from flows.pipeline.dataset import shard_of
from schemas.planned_release import Release
from schemas.release import Example, ModelRef, ModelSnapshot, ModelSource
from schemas.shards import TableShard

Shard = TypeVar("Shard", bound=TableShard)

#: What a model needs, and nothing that would have to be unpickled.
_OF_A_MODEL = ("config.json", "*.safetensors", "*.safetensors.index.json")
_WEIGHTS = (*_OF_A_MODEL, "adapter_config.json", *(f"base/{pattern}" for pattern in _OF_A_MODEL))
_PROCESSOR = ("*.json", "*.txt", "*.model", "*.jinja", "bpe.codes")


def upload_inputs(release: Release, indices: Sequence[int]) -> None:
    """Upload the shards' rows, and into a store of its own the model, unless they are there already."""
    execution = release.config.execution
    if execution.engine == "threads" and execution.store is None:
        return
    store = _store_of(release)
    if execution.store is not None:
        _put_model(release.snapshot, store)
    there = store.names(_rows_folder(release))
    for index in indices:
        if _rows_name(release, index) not in there:
            _put_rows(shard_of(release, index), store, _rows_name(release, index))


def load_inputs(release: Release, index: int) -> tuple[ModelSnapshot, Sequence[Example]]:
    """Load model and rows of a shard from this machine, else from the store."""
    execution = release.config.execution
    if execution.engine == "threads" and execution.store is None:
        return release.snapshot, shard_of(release, index)
    return load_model(release), _fetch_rows(release, index)


def load_model(release: Release) -> ModelSnapshot:
    """The release's model on this machine, from the store where it is not here."""
    return _fetch_model(release.snapshot, release.config.execution.store)


@contextmanager
def open_table(release: Release, name: str) -> Iterator[Path]:
    """Give the path to write the table of this name in the workspace to; one that was written whole is then uploaded."""
    if release.config.execution.store is None:
        yield release.workspace / name
        return
    with tempfile.TemporaryDirectory(prefix="calig-") as folder:
        path = Path(folder) / Path(name).name
        yield path
        _store_of(release).put(path, name)


@contextmanager
def read_table(release: Release, shard: TableShard) -> Iterator[Path]:
    """Give the path of a shard's table, as it was written: on this machine, else downloaded for as long as it is read."""
    if is_as_written(shard.path, shard.sha256):
        yield shard.path
        return
    with tempfile.TemporaryDirectory(prefix="calig-") as folder:
        path = Path(folder) / shard.path.name
        _download(release, shard, path)
        if not is_as_written(path, shard.sha256):
            raise CouldNotRunError("a table is not what was written", got=shard.path, next_step="start again: it is made anew")
        yield path


def locate_table(release: Release, shard: Shard, name: str) -> Shard:
    """Set the path of the table of this name on this machine: one from a store may have been written on another."""
    elsewhere = release.config.execution.store is not None
    return shard.model_copy(update={"path": release.workspace / name}) if elsewhere else shard


def whole_shards(
    compute: Callable[[list[int], bool], list[Shard]], release: Release, indices: list[int], force: bool
) -> list[Shard]:
    """What `compute` makes of the shards, with every file here; one that was lost or damaged since is computed again.

    compute: takes indices, and whether to compute what is cached too.

    Raises:
        CouldNotRunError: a table is lost as soon as it is written.
    """
    shards = {shard.index: shard for shard in compute(indices, force)}
    damaged = [index for index, shard in shards.items() if not fetch_table(release, shard)]
    if damaged:
        again = {shard.index: shard for shard in compute(damaged, True)}
        _refuse_lost([shard for shard in again.values() if not fetch_table(release, shard)])
        shards |= again
    return [shards[index] for index in indices]


def _refuse_lost(lost: Sequence[TableShard]) -> None:
    if lost:
        raise CouldNotRunError(
            "a table that was just written is not there, or not what was written", got=lost[0].path, next_step="check the disk"
        )


def fetch_table(release: Release, shard: TableShard) -> bool:
    """Download the shard's table unless it is here; False when it was lost or is not as it was written."""
    if is_as_written(shard.path, shard.sha256):
        return True
    _download(release, shard, shard.path)
    return is_as_written(shard.path, shard.sha256)


def _download(release: Release, shard: TableShard, path: Path) -> None:
    """Put the shard's table to `path` if the store has one."""
    if release.config.execution.store is None:
        return
    store, name = _store_of(release), shard.path.relative_to(release.workspace).as_posix()
    if name in store.names(name):
        store.get(name, path)


def _store_of(release: Release) -> Store:
    return _store(release.config.execution.store or str(release.workspace))


@lru_cache(maxsize=4)
def _store(url: str) -> Store:
    return Store(url)


def _rows_folder(release: Release) -> str:
    return f"rows/{release.dataset.digest[:32]}-{release.config.attribution.shard_rows}"


def _rows_name(release: Release, index: int) -> str:
    return f"{_rows_folder(release)}/shard-{index:05d}.jsonl"


def _put_rows(examples: Sequence[Example], store: Store, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="calig-") as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(example.model_dump_json() + "\n" for example in examples), encoding="utf-8")
        store.put(path, name)


def _fetch_rows(release: Release, index: int) -> list[Example]:
    with tempfile.TemporaryDirectory(prefix="calig-") as folder:
        path = Path(folder) / "rows.jsonl"
        _store_of(release).get(_rows_name(release, index), path)
        with path.open(encoding="utf-8") as lines:
            examples = [Example.model_validate_json(line) for line in lines]
    lost = [e.image for e in examples if e.image is not None and e.problem is None and not e.image.is_file()]
    if lost:
        raise CouldNotRunError("a picture is not on the worker's machine", got=lost[0], next_step=_MOUNT)
    return examples


_MOUNT = "keep pictures on a file system that every worker mounts at the same path; the store carries rows, not pictures"


def _model_folder(snapshot: ModelSnapshot) -> str:
    return f"models/{snapshot.weights_digest[:32]}-{snapshot.processor_digest[:16]}"


def _put_model(snapshot: ModelSnapshot, store: Store) -> None:
    """The weights, config.json and the processor's files side by side; the marker last, since it says that all are there."""
    folder = _model_folder(snapshot)
    if f"{folder}/complete" in store.names(folder):
        return
    files = {path.name: path for pattern in _PROCESSOR for path in snapshot.processor_path.glob(pattern)}
    files = {name: path for name, path in files.items() if name not in _WEIGHTS}  # the processor's folder may be a base's
    weights = [path for pattern in _WEIGHTS for path in snapshot.model_path.glob(pattern)]
    files |= {path.relative_to(snapshot.model_path).as_posix(): path for path in weights}
    for name, path in sorted(files.items()):
        store.put(path, f"{folder}/{name}")
    with tempfile.NamedTemporaryFile(prefix="calig-") as marker:
        store.put(Path(marker.name), f"{folder}/complete")


@lru_cache(maxsize=2)
def _fetch_model(snapshot: ModelSnapshot, store_url: str | None) -> ModelSnapshot:
    """The snapshot on this machine; downloaded from the store and checked by its digests where it is not here."""
    if store_url is None or registry.is_here(snapshot):
        return snapshot
    here = Path(tempfile.mkdtemp(prefix="calig-model-"))
    atexit.register(shutil.rmtree, here, ignore_errors=True)
    try:
        store, folder = _store(store_url), _model_folder(snapshot)
        for name in store.names(folder) - {f"{folder}/complete"}:
            part, file = Path(name).parts[-2:]
            store.get(name, here / "base" / file if part == "base" else here / file)
        got = registry.fetch(ModelRef(uri=str(here), source=ModelSource.FOLDER, name=here.name), workspace=here)
        if (got.weights_digest, got.processor_digest) != (snapshot.weights_digest, snapshot.processor_digest):
            raise CouldNotRunError("the store's copy of the model is not the model", got=got.weights_digest, next_step=_COPY)
    except BaseException:
        shutil.rmtree(here, ignore_errors=True)
        raise
    return snapshot.model_copy(update={"model_path": here, "processor_path": here})


_COPY = "delete models/ in the store and start again; find out who can write there"
