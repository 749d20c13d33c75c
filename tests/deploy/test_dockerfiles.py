"""The Dockerfiles by hadolint and by what they promise. Built and started: tests/e2e/test_image.py."""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.helpers.deploy_files import DEPLOY, ROOT

FILES = [DEPLOY / "Dockerfile", DEPLOY / "Dockerfile.cuda"]


def lines(file: Path) -> list[str]:
    """Instructions, each on one line, without comments."""
    text = "\n".join(line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return [" ".join(line.split()) for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, *FILES], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_bases_are_pinned_and_the_process_is_nobody(file: Path) -> None:
    instructions = lines(file)
    (base,) = [line for line in instructions if line.startswith("ARG BASE=")]
    assert [line for line in instructions if line.startswith("FROM ")] == ["FROM ${BASE} AS build", "FROM ${BASE}"]
    assert re.search(r":\d+\.\d+\.\d+-", base)
    users = [line for line in instructions if line.startswith("USER ")]
    assert users == ["USER 10001:10001"]
    assert not [line for line in instructions[instructions.index(users[0]) :] if line.startswith(("RUN ", "COPY "))]
    assert any(line.startswith("HEALTHCHECK ") and "/healthz" in line for line in instructions)
    assert any("-c constraints.txt" in line for line in instructions)


def make_image(*variables: str) -> subprocess.CompletedProcess[str]:
    """`make image`, with `echo` in the place of the builder."""
    command = ["make", "--no-print-directory", "image", "CONTAINER_BUILD=echo", *variables]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("base", ["", "python:3.11.14-slim-bookworm", f"python@sha256:{'a' * 63}", f"@sha256:{'a' * 64}"])
def test_an_image_for_others_is_not_built_on_a_tag(base: str) -> None:
    done = make_image(f"BASE={base}", "TAG=registry.example/calig:0.1.0")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"BASE is not pinned: got '{base}'" in done.stderr
    assert "imagetools inspect python:3.11.14-slim-bookworm" in done.stderr, "the base of the Dockerfile"


def test_an_image_for_others_is_built_on_a_digest() -> None:
    base = f"python@sha256:{'a' * 64}"
    done = make_image(f"BASE={base}", "TAG=registry.example/calig:0.1.0-cuda", "CUDA=1")
    arguments = f"--build-arg BASE={base} --file deploy/Dockerfile.cuda --tag registry.example/calig:0.1.0-cuda ."
    assert (done.returncode, " ".join(done.stdout.splitlines()[-1].split())) == (0, arguments)
    assert make_image(f"BASE={base}").returncode == 2, "without a name"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_image_names_its_base(file: Path) -> None:
    (label,) = [line for line in lines(file) if line.startswith("LABEL ")]
    assert 'org.opencontainers.image.base.name="${BASE}"' in label
    assert "ARG BASE" in lines(file), "an argument from before FROM is empty after it"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_bytecode_is_where_the_trial_left_it(file: Path) -> None:
    (trial,) = [line for line in lines(file) if line.endswith("python deploy/trial.py")]
    assert 'PYTHONDONTWRITEBYTECODE="" PYTHONPYCACHEPREFIX=/opt/bytecode' in trial
    assert "COPY --from=build /opt/bytecode /opt/bytecode" in lines(file)
    assert any("PYTHONPYCACHEPREFIX=/opt/bytecode" in line for line in lines(file) if line.startswith("ENV "))
    assert all("--no-compile" in line for line in re.findall(r"pip install [^&]*", "\n".join(lines(file))))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_secret_gets_into_a_layer(file: Path) -> None:
    setting = [line for line in lines(file) if line.startswith(("ARG ", "ENV "))]
    assert not [line for line in setting if re.search(r"SECRET|TOKEN|PASSWORD|_KEY|AUTH", line)]
    copied = [line.split()[1:-1] for line in lines(file) if line.startswith("COPY ") and "--from" not in line]
    assert not [name for names in copied for name in names if name in {".", "./", "*"}]


def test_what_is_copied_is_let_through_and_secrets_are_not() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] not in {"", "#"}]
    assert rules[0] == "*"
    let_through = {rule[1:].rstrip("/") for rule in rules if rule.startswith("!")}
    for file in FILES:
        copied = {
            name for line in lines(file) if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]
        }
        assert copied == let_through
        assert all((ROOT / name).exists() for name in copied)
    refused = [rule.rstrip("/") for rule in rules[1:] if not rule.startswith("!")]
    ignored_by_git = [rule.rstrip("/") for rule in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()]
    for private in ("deploy/.env", "deploy/secrets", "deploy/data"):
        assert any(fnmatchcase(private, rule) for rule in refused)
        assert private in ignored_by_git


def test_the_cuda_image_differs_where_it_says_so() -> None:
    cpu, cuda = (lines(file) for file in FILES)
    differing = [line for line in difflib.ndiff(cpu, cuda) if line.startswith(("- ", "+ "))]
    where_gpus_are = (
        'RUN python -c "import torch',
        "RUN rm /opt/venv/lib/python3.*/site-packages/onnxruntime/capi/",
        "RUN apt-get ",
    )
    allowed = ("ARG TORCH_INDEX=", "LABEL ", "ENV PATH=/opt/venv/bin:$PATH PYTHON", *where_gpus_are)
    assert differing
    assert all(line[2:].startswith(allowed) for line in differing), differing
    assert any("/cu13" in line for line in cuda)
    assert any(line.endswith("/whl/cpu") for line in cpu)
