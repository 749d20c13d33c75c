"""Hub models: pinned, safetensors only, from a stand-in for the hub on this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import huggingface_hub.constants as hub
import pytest

from components import registry
from components.common.errors import CouldNotRunError, InputError
from schemas.release import ModelSnapshot, ModelSource
from tests.helpers.tiny_adapters import save_tiny_adapter
from tests.helpers.tiny_models import save_tiny_bert

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub(ThreadingHTTPServer):
    """Serves one repository, org/tiny, at one commit with the tag v1; remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.folder, self.asked = folder, list[str]()


class _Answer(BaseHTTPRequestHandler):
    server: FakeHub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        if path in {f"/api/models/org/tiny/revision/{revision}" for revision in ("v1", COMMIT)}:
            files = [{"rfilename": file.name} for file in sorted(self.server.folder.iterdir())]
            self._send(json.dumps({"id": "org/tiny", "modelId": "org/tiny", "sha": COMMIT, "siblings": files}).encode())
        elif path.startswith(f"/api/models/org/tiny/tree/{COMMIT}"):
            tree = [
                {
                    "type": "file",
                    "path": file.name,
                    "size": file.stat().st_size,
                    "oid": hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest(),
                }
                for file in sorted(self.server.folder.iterdir())
            ]
            self._send(json.dumps(tree).encode())
        elif path.startswith(f"/org/tiny/resolve/{COMMIT}/"):
            self._send((self.server.folder / path.rpartition("/")[2]).read_bytes())
        else:
            self._send(b"{}", status=404, code="RevisionNotFound" if "/org/tiny/" in path else "RepoNotFound")

    def _send(self, body: bytes, status: int = 200, code: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def fake_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    repository = save_tiny_bert(tmp_path / "repository")
    (repository / "pytorch_model.bin").write_bytes(b"pickle")
    (repository / "code.py").write_text("raise SystemExit")
    server = FakeHub(repository)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setattr(hub, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(hub, "HUGGINGFACE_CO_URL_TEMPLATE", hub.ENDPOINT + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def _fetch(text: str, workspace: Path) -> ModelSnapshot:
    return registry.fetch(registry.parse_model_ref(text), workspace=workspace)


@pytest.mark.parametrize("revision", ["v1", COMMIT])
def test_a_pinned_model_comes_without_code_and_pickles(fake_hub: FakeHub, tmp_path: Path, revision: str) -> None:
    snapshot = _fetch(f"org/tiny@{revision}", tmp_path / "work")

    assert (snapshot.source, snapshot.name, snapshot.version) == (ModelSource.HUB, "org/tiny", COMMIT)
    assert snapshot.uri == f"org/tiny@{COMMIT}"
    assert snapshot.model_path == tmp_path / "work" / "models" / "org--tiny" / COMMIT
    names = {path.name for path in snapshot.model_path.iterdir() if not path.name.startswith(".")}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert not any(path.is_symlink() for path in snapshot.model_path.iterdir())


def test_a_commit_already_there_asks_the_hub_for_nothing(fake_hub: FakeHub, tmp_path: Path) -> None:
    first = _fetch(f"org/tiny@{COMMIT}", tmp_path)
    fake_hub.asked.clear()
    assert _fetch(f"org/tiny@{COMMIT}", tmp_path) == first
    assert fake_hub.asked == []


def test_the_base_of_an_adapter_by_its_commit(fake_hub: FakeHub, tmp_path: Path) -> None:
    save_tiny_adapter(tmp_path / "adapter", fake_hub.folder)
    path = tmp_path / "adapter" / "adapter_config.json"
    settings = json.loads(path.read_text()) | {"base_model_name_or_path": "org/tiny", "revision": COMMIT}
    path.write_text(json.dumps(settings))
    snapshot = _fetch(str(tmp_path / "adapter"), tmp_path / "work")
    base = _fetch(f"org/tiny@{COMMIT}", tmp_path / "work")
    assert snapshot.adapter is not None
    assert (snapshot.adapter.base_uri, snapshot.adapter.base_digest) == (base.uri, base.weights_digest)


def test_unknown_models_and_revisions(fake_hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no revision 'v9'"):
        _fetch("org/tiny@v9", tmp_path)
    with pytest.raises(InputError, match="no model 'org/gone'"):
        _fetch("org/gone@v1", tmp_path)


def test_a_model_beyond_the_limit_is_not_downloaded(fake_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIG_DOWNLOAD_GIGABYTES", "0.00001")
    with pytest.raises(InputError, match=r"(?s)larger than may be downloaded.*model\.safetensors"):
        _fetch("org/tiny@v1", tmp_path)
    assert not list(tmp_path.joinpath("work").rglob("*.safetensors"))


def test_an_unreachable_hub(fake_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with pytest.raises(CouldNotRunError, match="could not be downloaded"):
        _fetch("org/tiny@v1", tmp_path)
