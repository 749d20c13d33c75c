"""What a version is to be explained with: the watch file's entry, overridden by tags as far as tags may.

Whoever may tag a model must not make a worker read any file there is: a tag names paths inside allowed folders only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.errors import InputError
from schemas.trigger import Tag, WatchedVersion
from schemas.watch import ExplainWith

_REGISTERED = "models:/"


def asked_for(version: WatchedVersion, entry: ExplainWith, roots: Sequence[Path]) -> ExplainWith:
    """`entry` with what the tags say instead.

    Raises:
        InputError: a tag names a path outside `roots`, nothing that exists there, or a reference that is no registered version.
    """
    asked: dict[str, object] = {}
    for tag, field in ((Tag.DATASET, "dataset"), (Tag.CONFIG, "config")):
        text = version.asked(tag)
        if text is not None:
            asked[field] = _inside(text, tag, roots)
    reference = version.asked(Tag.REFERENCE)
    if reference is not None:
        asked["reference"] = _registered(reference)
    return entry.model_copy(update=asked)


def _inside(text: str, tag: Tag, roots: Sequence[Path]) -> Path:
    """The file or folder, links followed; outside of all roots is refused before it is known whether anything is there."""
    if not roots:
        raise InputError(
            f"the tag {tag.value} names a path, and tags may name none here",
            got=text,
            next_step="set allowed_roots in the watch file",
        )
    found = [path for root in roots if (path := _below(root, text)) is not None]
    if not found:
        raise InputError(
            f"the tag {tag.value} names a path outside the allowed folders",
            got=text,
            allowed=", ".join(str(root) for root in roots),
        )
    for path in found:
        if path.exists():
            return path
    raise InputError(f"the tag {tag.value} names what does not exist", got=text, allowed="a path inside allowed_roots")


def _below(root: Path, text: str) -> Path | None:
    """`text` as a path inside `root`, with all links followed; None: it is not inside."""
    try:
        real_root = root.expanduser().resolve(strict=True)
        path = (real_root / text).resolve()
    except (OSError, RuntimeError, ValueError):  # no such root, a loop of links, a NUL byte
        return None
    return path if path.is_relative_to(real_root) else None


def _registered(text: str) -> str:
    if not text.startswith(_REGISTERED):
        raise InputError(
            f"the tag {Tag.REFERENCE.value} must name a registered version",
            got=text,
            allowed="models:/NAME/VERSION or models:/NAME@alias",
        )
    return text
