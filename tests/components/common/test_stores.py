"""Files go into a store and come back, on a disk and in memory; what cannot be used says what to do."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from components.common.errors import CouldNotRunError, InputError
from components.common.stores import Store


@pytest.fixture(params=["folder", "file", "memory"])
def store(request, tmp_path: Path) -> Store:
    urls = {"folder": str(tmp_path / "store"), "file": f"file://{tmp_path}/store", "memory": f"memory://{uuid4().hex}/deep"}
    return Store(urls[request.param])


def test_what_was_put_comes_back(store: Store, tmp_path):
    (tmp_path / "a").write_bytes(b"\x00one")
    store.put(tmp_path / "a", "tables/key/a.parquet")
    store.put(tmp_path / "a", "other/a")
    assert store.names("tables") == {"tables/key/a.parquet"}
    store.get("tables/key/a.parquet", tmp_path / "new" / "b")
    assert (tmp_path / "new" / "b").read_bytes() == b"\x00one"


def test_a_file_put_again_is_replaced(store: Store, tmp_path):
    for content in (b"long content", b"short"):
        (tmp_path / "a").write_bytes(content)
        store.put(tmp_path / "a", "x/a")
    store.get("x/a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"short"
    assert store.names("x") == {"x/a"}, "no parts are left over"


def test_what_is_not_there_could_not_be_read_and_leaves_nothing(store: Store, tmp_path):
    assert store.names("nothing") == set()
    with pytest.raises(CouldNotRunError, match=r"(?s)tables/none.*next: check"):
        store.get("tables/none", tmp_path / "here")
    assert list(tmp_path.glob("here*")) == []


def test_a_disk_that_refuses_is_told(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(CouldNotRunError, match="could not be used for x/a"):
        Store(str(tmp_path / "store")).put(tmp_path / "a", "x/a")


@pytest.mark.parametrize(("url", "words"), [("nosuch://bucket", "nosuch"), ("s3://bucket/x", "pip install s3fs")])
def test_an_address_that_cannot_be_used_says_so(url, words):
    if url.startswith("s3") and _installed("s3fs"):
        pytest.skip("s3fs is installed")
    with pytest.raises(InputError, match=words):
        Store(url)


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None
