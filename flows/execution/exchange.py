"""Shared storage for shards: uploads rows and the model, downloads tables.

Without a store that is the output folder, and threads of this process need neither rows nor model to be put anywhere.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from components import attribution, registry
from components.common.errors import CouldNotRunError
from components.common.stores import Store
from flows.pipeline.dataset import shard_of
from schemas.attribution import ShardResult
from schemas.planned_release import Release
from schemas.release import Example, ModelRef, ModelSnapshot, ModelSource

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
    return _fetch_model(release.snapshot, execution.store), _fetch_rows(release, index)


@contextmanager
def open_table(release: Release, index: int) -> Iterator[Path]:
    """Give the path to write a shard's table to; a table that was written whole is then uploaded."""
    if release.config.execution.store is None:
        yield release.shard_path(index)
        return
    with tempfile.TemporaryDirectory(prefix="calig-") as folder:
        path = Path(folder) / release.shard_path(index).name
        yield path
        _store_of(release).put(path, release.shard_name(index))


def locate_table(release: Release, shard: ShardResult) -> ShardResult:
    """Set the path of the shard's table on this machine: one from a store may have been written on another."""
    elsewhere = release.config.execution.store is not None
    return shard.model_copy(update={"path": release.shard_path(shard.index)}) if elsewhere else shard


def fetch_table(release: Release, shard: ShardResult) -> bool:
    """Download the shard's table unless it is here; False when it was lost or is not as it was written."""
    if attribution.intact(shard):
        return True
    if release.config.execution.store is None:
        return False
    store, name = _store_of(release), release.shard_name(shard.index)
    if name in store.names(name):
        store.get(name, shard.path)
    return attribution.intact(shard)


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
