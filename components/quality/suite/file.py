"""The text of an expectation suite: read whole, nothing dropped silently, and every error with its line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from components.common.errors import InputError
from components.common.yaml_file import read_yaml_file

_BUILT_IN = files("schemas") / "expectations"


@dataclass(frozen=True)
class SuiteFile:
    """Where a suite was read from, its content, and its YAML tree, which knows the lines."""

    name: str
    folder: Path | None
    content: Any
    root: yaml.Node

    def error(self, problem: str, place: Sequence[str | int], **details: Any) -> InputError:
        """An error about the part at `place`, e.g. ("expectations", 0, "type")."""
        return InputError(f"{self.name}, line {_line(self.root, place)}: {problem}", **details)


def built_in_suites() -> list[str]:
    """Names of the suites that come with the package."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _BUILT_IN.iterdir() if entry.name.endswith(".yaml"))


def read_suite_file(suite: str) -> SuiteFile:
    """The file of the suite called `suite`: a built-in name, or the path of a YAML file.

    Raises:
        InputError: no such file, not YAML, empty, or a key given twice.
    """
    built_in = suite in built_in_suites()
    source = _BUILT_IN / f"{suite}.yaml" if built_in else Path(suite)
    allowed = f"auto, {', '.join(built_in_suites())}, or the path of a YAML file"
    found = read_yaml_file(Path(str(source)), f"expectation suite {suite}", allowed=allowed)
    if found.root is None:
        raise InputError(f"the expectation suite {suite} is empty", next_step="copy the built-in suite `default` and edit it")
    return SuiteFile(suite, None if built_in else Path(suite).absolute().parent, found.content, found.root)


def _line(node: yaml.Node, place: Sequence[str | int]) -> int:
    """Line (from 1) of the deepest part of `place` that exists below `node`."""
    line = node.start_mark.line + 1
    for part in place:
        child = _child(node, part)
        if child is None:
            break
        line, node = child
    return line


def _child(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark.line + 1, value) for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None
