"""YAML that operators write (settings, watch file, suites, trust list), read by one strict loader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from components.common.errors import InputError

Kind = TypeVar("Kind", bound=BaseModel)

_MAX_BYTES = 2**20
_MAX_NODES = 100_000


@dataclass(frozen=True)
class YamlFile:
    """A file's content, None when it holds nothing, and its tree, which knows the lines."""

    content: Any
    root: yaml.Node | None


def read_yaml_file(path: Path, what: str, *, allowed: str | None = None, next_step: str | None = None) -> YamlFile:
    """The YAML file at `path`; when it cannot be read, the error says `what` it is, what is `allowed` and the `next_step`.

    Raises:
        InputError: the file is missing, too large or not YAML, or a key stands twice in one section.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        text = content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the {what} cannot be read", got=f"{path}: {error}", allowed=allowed, next_step=next_step) from error
    if len(content) > _MAX_BYTES:
        raise InputError(f"the {what} is too large", got=path, allowed=f"{_MAX_BYTES} bytes")
    return parse_yaml(text, what, path.name)


def read_yaml_record(path: Path, kind: type[Kind], what: str, *, allowed: str, next_step: str, empty: object = None) -> Kind:
    """The YAML file at `path` as a record, `empty` standing for no content; other arguments as for `read_yaml_file`.

    Raises:
        InputError: as there, or what the file holds is no such record.
    """
    content = read_yaml_file(path, what, allowed=allowed, next_step=next_step).content
    try:
        return kind.model_validate(empty if content is None else content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise InputError(
            f"the {what}: {place}: {first['msg']}",
            got=f"{path}: {first['input']!r}"[:300],
            allowed=allowed,
            next_step=next_step,
        ) from error


def parse_yaml(text: str, what: str, name: str) -> YamlFile:
    """YAML text, for a file called `name`; errors as for `read_yaml_file`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _refuse_repeated_keys(root, name)
            if _expanded(root, {}) > _MAX_NODES:
                raise ValueError("its aliases stand for too much")
        return YamlFile(yaml.safe_load(text), root)
    except yaml.YAMLError as error:
        raise InputError(f"the {what} is not valid YAML", got=f"{name}: {error}") from error
    except (RecursionError, ValueError) as error:  # ValueError also for a date or number that Python does not take
        raise InputError(f"the {what} cannot be read", got=f"{name}: {type(error).__name__}: {error}") from error


def _refuse_repeated_keys(root: yaml.Node, name: str) -> None:
    """YAML keeps the last of two equal keys without a word: the first would be lost."""
    for mapping in _mappings(root):
        lines: dict[str, int] = {}
        for key, _ in mapping.value:
            line = key.start_mark.line + 1
            if str(key.value) in lines:
                problem = f"{name}, line {line}: the key {str(key.value)[:80]!r} is given twice"
                raise InputError(problem, got=f"first in line {lines[str(key.value)]}", next_step="remove one of the two")
            lines[str(key.value)] = line


def _expanded(node: yaml.Node, sizes: dict[int, int | None]) -> int:
    """Nodes below `node` with every alias written out; `sizes` of nodes by id, None while they are being counted."""
    if id(node) in sizes:
        known = sizes[id(node)]
        if known is None:
            raise ValueError("an alias leads to itself")
        return known
    sizes[id(node)] = None
    sizes[id(node)] = size = 1 + sum(_expanded(part, sizes) for part in _parts(node))
    return size


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _mappings(root: yaml.Node) -> Iterator[yaml.MappingNode]:
    """Every mapping once: an alias leads to a node that was there before."""
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            yield node
        fresh = [part for part in _parts(node) if id(part) not in seen]
        seen |= {id(part) for part in fresh}
        waiting += fresh
