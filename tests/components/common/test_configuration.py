"""Files that operators write are read strictly: a key given twice is refused, and an empty section means its defaults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.common.configuration import load_config, load_watch, render
from components.common.errors import InputError
from components.quality.suite.load import load_suite
from components.signing import load_trust
from schemas.config import PipelineConfig
from schemas.trigger import WatchConfig

READERS: dict[str, Callable[[Path], Any]] = {
    "settings": load_config,
    "watch file": load_watch,
    "suite": lambda path: load_suite(str(path)),
    "trust list": load_trust,
}


def _refused(path: Path, text: str, read: Callable[[Path], Any] = load_config) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read(path)
    return str(caught.value)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a:\n  x: strict\n  x: auto\n", "file.yaml, line 3: the key 'x' is given twice\ngot: first in line 2"),
        ("a:\n  x: 1\nb:\n  y: 1\na:\n  z: 1\n", "file.yaml, line 5: the key 'a' is given twice\ngot: first in line 1"),
        ("a: [{b: 1, b: 2}]\n", "file.yaml, line 1: the key 'b' is given twice"),
        ("a: [b\n", "not valid YAML"),
        ("a: 2026-13-45\n", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("a: " + "x" * 2**20, "too large"),
    ],
)
def test_every_file_is_read_by_one_strict_loader(tmp_path: Path, reader: str, text: str, words: str) -> None:
    assert words in _refused(tmp_path / "file.yaml", text, READERS[reader])


def test_aliases_that_multiply_are_not_written_out(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)), "quality: *a29"]
    assert "aliases stand for too much" in _refused(tmp_path / "file.yaml", "\n".join(lines))
    assert "an alias leads to itself" in _refused(tmp_path / "file.yaml", "quality: &a [*a]\n")
    (tmp_path / "file.yaml").write_text("quality: &q {seed: 3}\n")
    assert load_config(tmp_path / "file.yaml").quality.seed == 3


def test_a_repeated_section_does_not_lose_the_first(tmp_path: Path) -> None:
    text = "quality:\n  suite: strict\ngate:\n  require_approval: true\nquality:\n  seed: 1\n"
    assert "line 5: the key 'quality' is given twice" in _refused(tmp_path / "a.yaml", text)


def test_a_section_of_comments_means_its_defaults(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("quality:\n  # suite: strict\ngate:\n  promote: true\n")
    found = load_config(tmp_path / "a.yaml")
    assert found == PipelineConfig(gate={"promote": True})
    assert PipelineConfig.model_validate({"quality": None}) == PipelineConfig()  # as a trigger hands settings on
    (tmp_path / "w.yaml").write_text("models:\n- name: a\nlistener:\n  # window_s: 3\ndefaults:\n")
    assert load_watch(tmp_path / "w.yaml") == WatchConfig(models=({"name": "a"},))
    (tmp_path / "e.yaml").write_text("# nothing\n")
    assert load_config(tmp_path / "e.yaml") == PipelineConfig()
    assert "valid dictionary" in _refused(tmp_path / "b.yaml", "quality: []\n")
    assert "valid dictionary" in _refused(tmp_path / "c.yaml", "false\n")


@pytest.mark.parametrize("fractions", ["[1, 5, 10]", "[0.5, 0.1]", "[0.1, 0.1]", "[0.0, 0.5]", "[]", "[.nan]"])
def test_fractions_are_shares_that_rise(tmp_path: Path, fractions: str) -> None:
    message = _refused(tmp_path / "a.yaml", f"quality:\n  fractions: {fractions}\n")
    assert "setting 'quality.fractions'" in message
    assert ("write [0.01, 0.05, 0.1]" in message) or ("larger than the one before" in message)


def test_all_settings_written_out_are_read_again(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(render(PipelineConfig()), encoding="utf-8")
    assert load_config(tmp_path / "a.yaml") == PipelineConfig()
