"""Read a configuration or watch file into its record, and write a configuration out with every default and its meaning."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from components.common.errors import InputError
from components.common.yaml_file import read_yaml_file
from schemas.config import PipelineConfig
from schemas.trigger import WatchConfig

#: A setting is a name inside a section.
_DEPTH = 2
_SHOWN = "calig config show lists every setting with its default and meaning"
_EXPLAINED = "deploy/watch.yaml explains every setting"

Settings = TypeVar("Settings", bound=BaseModel)


def load_config(path: Path | None) -> PipelineConfig:
    """The settings in a YAML file; what it leaves out keeps its default. None: all defaults.

    Raises:
        InputError: the file is missing, is not YAML, or has an unknown, repeated or unfit setting.
    """
    if path is None:
        return PipelineConfig()
    return _validated(PipelineConfig, read_yaml(path, "configuration file", "check --config"), _SHOWN)


def config_from(content: object) -> PipelineConfig:
    """The settings in a mapping, as they would stand in the file; errors as above."""
    return _validated(PipelineConfig, content, _SHOWN)


def load_watch(path: Path) -> WatchConfig:
    """The watch file; errors as above."""
    content = read_yaml(path, "watch file", "check --watch or CALIG_WATCH")
    if isinstance(content, dict) and "allowed_roots" in content:
        raise InputError(
            "setting 'allowed_roots': data and settings have roots of their own now, and tags count only where they are admitted",
            got=content["allowed_roots"],
            allowed="data_roots, settings_roots, and tags: [dataset, config, reference, twin_of]",
            next_step=_EXPLAINED,
        )
    return _validated(WatchConfig, content, _EXPLAINED)


def read_yaml(path: Path, what: str, next_step: str) -> Any:
    """The content of a YAML file as it is written; {} when it holds nothing.

    Raises:
        InputError: the file is missing, too large or not YAML, or a key stands twice in one section.
    """
    content = read_yaml_file(path, what, next_step=next_step).content
    return {} if content is None else content


def _validated(kind: type[Settings], content: object, next_step: str) -> Settings:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        tried = [_plain(one) for one in error.errors() if _place(one) == _place(first)]  # one per type that is allowed
        raise InputError(
            f"setting {'.'.join(_place(first))!r}: {'; or: '.join(tried)}",
            got=first["input"],
            allowed=_allowed(kind, first),
            next_step=next_step,
        ) from error


def render(config: PipelineConfig) -> str:
    """`config` as YAML, every setting under a comment that says what it means."""
    return "\n".join(_lines(config, 0)) + "\n"


def _lines(section: BaseModel, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        yield f"{indent}# {field.description}"
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:"
            yield from _lines(value, depth + 1)
            yield ""
        else:
            yield f"{indent}{name}: {_inline(value)}".rstrip()


def _inline(value: object) -> str:
    """A scalar or a list on one line of YAML; nothing for None."""
    if value is None:
        return ""
    text: str = yaml.safe_dump(_simple(value), default_flow_style=True, allow_unicode=True, width=1000)
    return text.removesuffix("...\n").strip()


def _simple(value: object) -> object:
    """`value` as YAML knows it."""
    if isinstance(value, dict):
        return {key: _simple(one) for key, one in value.items()}
    return list(value) if isinstance(value, tuple) else value.value if isinstance(value, Enum) else value


def _plain(error: ErrorDetails) -> str:
    return "there is no such setting" if error["type"] == "extra_forbidden" else error["msg"]


def _place(error: ErrorDetails) -> list[str]:
    """Names of the setting, from the outermost; pydantic goes on with which of several allowed types it tried."""
    depth = _DEPTH + any(isinstance(part, int) for part in error["loc"][:_DEPTH])  # an entry of a list has a number too
    return [str(part) for part in error["loc"][:depth]]


def _allowed(kind: type[BaseModel], error: ErrorDetails) -> str | None:
    """For an unknown setting: the known ones of its section, the nearest first."""
    if error["type"] != "extra_forbidden":
        return None
    section: Any = kind
    for part in error["loc"][:-1]:
        section = _section(section, part)
    known = list(section.model_fields)
    near = get_close_matches(str(error["loc"][-1]), known, n=1)
    return ", ".join([*near, *(name for name in known if name not in near)])


def _section(outer: Any, part: int | str) -> Any:
    """The records under a name; a number counts entries of a list, all of one kind."""
    if isinstance(part, int):
        return outer
    inner = outer.model_fields[part].annotation
    return next((one for one in get_args(inner) if one is not Ellipsis), inner)
