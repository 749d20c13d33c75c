"""Tries an installation, while an image is built: both servers start, and a version of a tiny model is explained.

What was taken out of the image and is needed ends the build. And Python keeps the bytecode of all that is imported here, so that
processes start as fast as with the bytecode of everything, most of which nobody imports. A read-only container can keep none.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import pkgutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

_WORDS = ("good", "bad", "film", "plot", "warm", "dull", "very", "not")
_SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
#: Imported by a worker or a server when an extra has brought them.
_OF_EXTRAS = ("prefect_kubernetes.worker", "psycopg2")
_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}
_DAMAGED = ("ELF", "too short", "header")
_LIMIT_S = 300.0


def main() -> None:
    """Import, load, start and explain; whatever fails says so and ends the build."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ.update(_ENVIRONMENT, HOME=name, PREFECT_HOME=str(folder / "prefect"))
        for module in _modules():
            importlib.import_module(module)
        _load_libraries(Path(sysconfig.get_path("purelib")))
        _serve(["mlflow", "server", "--workers=1", f"--backend-store-uri=sqlite:///{folder}/mlflow.db"], "/health")
        _serve(["prefect", "server", "start"], "/api/health")
        _save_model(folder / "model")
        rows = [{"text": f"{first} {second} film", "label": "NEG"} for first in _WORDS for second in _WORDS]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        done = subprocess.run(["calig", "explain", "model", "--dataset=rows.jsonl", "--limit=10"], cwd=folder, check=False)  # noqa: S607
        if done.returncode not in {0, 1, 3} or not list(folder.rglob("record.json")):
            sys.exit(f"calig explain: exit code {done.returncode}, and no record")


def _modules() -> Iterator[str]:
    """All of ours, the families that calig explains, and what workers import."""
    from transformers import CONFIG_MAPPING

    from calig.families import FAMILIES

    for package in ("calig", "components", "flows", "schemas"):
        paths = importlib.import_module(package).__path__
        yield from (found.name for found in pkgutil.walk_packages(paths, f"{package}.") if not found.name.endswith("__main__"))
    yield from (CONFIG_MAPPING[family].__module__.replace(".configuration_", ".modeling_") for family in FAMILIES)
    yield "prefect.workers.process"
    yield from (name for name in _OF_EXTRAS if importlib.util.find_spec(name.partition(".")[0]))


def _load_libraries(site: Path) -> None:
    """Load every shared library: `strip` has damaged some in the past. What it lacks besides is another matter."""
    for file in sorted(site.rglob("*.so*")):
        try:
            ctypes.CDLL(str(file), os.RTLD_LAZY)
        except OSError as error:
            if any(word in str(error) for word in _DAMAGED):
                sys.exit(f"damaged: {error}")


def _serve(command: list[str], path: str) -> None:
    """Start a server, wait for its answer, end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen([*command, "--host=127.0.0.1", f"--port={port}"])  # noqa: S603 - our own, no shell
    try:
        _wait(server, f"http://127.0.0.1:{port}{path}")
    finally:
        server.terminate()
        server.wait(60)


def _wait(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(url, timeout=5):  # noqa: S310 - our own address
                return
        except (URLError, OSError):
            time.sleep(0.5)
    sys.exit(f"no answer: {url}")


def _save_model(folder: Path) -> None:
    """A BERT of two layers that knows eight words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    vocabulary = {token: index for index, token in enumerate([*_SPECIAL.values(), *_WORDS])}
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    labels = {"id2label": {0: "NEG", 1: "POS"}, "label2id": {"NEG": 0, "POS": 1}}
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=16, initializer_range=0.2, **sizes, **labels)
    BertForSequenceClassification(config).save_pretrained(folder)
    words = Tokenizer(WordLevel(vocabulary, unk_token=_SPECIAL["unk_token"]))
    words.pre_tokenizer = Whitespace()
    ends = [(_SPECIAL[f"{name}_token"], vocabulary[_SPECIAL[f"{name}_token"]]) for name in ("cls", "sep")]
    words.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=16, **_SPECIAL).save_pretrained(folder)


if __name__ == "__main__":
    main()
