"""Put a downloaded folder into place once and whole: filled beside its place, then renamed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from components.errors import CouldNotRunError, InputError

_ORIGIN = ".calig-origin"


def place_once(place: Path, *, origin: str, fill: Callable[[Path], None]) -> Path:
    """The folder `place`, filled by `fill` unless it already holds what `origin` stands for.

    `fill` writes into a new folder on the same disk, which takes its place by one rename: a reader sees all of it or
    nothing, and a download that broke off leaves nothing behind. Two processes may race; the later one's copy is dropped.

    Raises:
        CouldNotRunError: when the disk fails. What `fill` raises passes through.
    """
    if _holds(place, origin):
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}-") as temporary:
            fresh = Path(temporary) / "fresh"
            fresh.mkdir()
            fill(fresh)
            (fresh / _ORIGIN).write_text(origin, encoding="utf-8")
            _take_place(fresh, place, origin, Path(temporary) / "outdated")
    except OSError as error:
        raise CouldNotRunError(
            "The download could not be stored.", got=f"{place}: {error}", next_step="check the disk and run again"
        ) from error
    return place


def refuse_links(folder: Path, what: str) -> None:
    """A download holds files and folders alone: a link in it could stand for any file of this machine.

    Raises:
        InputError: there is a link, a socket, a device or a pipe.
    """
    strange = [path for path in folder.rglob("*") if path.is_symlink() or not (path.is_file() or path.is_dir())]
    if strange:
        named = ", ".join(path.relative_to(folder).as_posix() for path in strange[:5])
        raise InputError(
            "A downloaded model holds something that is neither file nor folder.",
            got=f"{what}: {named}",
            next_step="log the model again as plain files",
        )


def _take_place(fresh: Path, place: Path, origin: str, outdated: Path) -> None:
    if _holds(place, origin):
        return
    if place.exists():
        shutil.move(place, outdated)
    fresh.rename(place)


def _holds(place: Path, origin: str) -> bool:
    mark = place / _ORIGIN
    return mark.is_file() and mark.read_text(encoding="utf-8") == origin
