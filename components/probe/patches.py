"""Patterns pasted onto pictures: the probe's words for images. Solid colours, checkerboards, crosses and noise, seeded."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calig.errors import InvalidInputError
from calig.metrics.perturbation import FloatArray, PerturbedImage
from components.common.errors import CouldNotRunError, InputError
from components.probe.effects import undecided
from schemas.probe import PatchContext

#: Paths of pictures → logits `pictures classes`.
PictureScorer = Callable[[Sequence[Path]], FloatArray]

Pixels = NDArray[np.uint8]

_COLOURS = {
    **{"black": (0, 0, 0), "grey": (128, 128, 128), "white": (255, 255, 255)},
    **{"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)},
    **{"yellow": (255, 255, 0), "magenta": (255, 0, 255), "cyan": (0, 255, 255)},
}
_CELLS = 6  # pattern cells per side
_NOISES = 8

#: Share of the picture's shorter side that a pattern covers: about one and about three patches of a ViT.
_SIZES = {"small": 0.08, "large": 0.2}

#: Where patterns go, by turns over the pictures: the centre of the pattern as shares of height and width.
_PLACES = ((0.85, 0.85), (0.15, 0.15), (0.5, 0.5), (0.15, 0.85), (0.85, 0.15))


def patterns() -> dict[str, tuple[Pixels, float]]:
    """Pixels `cells cells 3` and size by name, the same ones every time."""
    tiles = {**_solids(), **_boards(), **_crosses(), **_noise()}
    return {f"{size} {name}": (tile, share) for size, share in _SIZES.items() for name, tile in tiles.items()}


def choose_pictures(scorer: PictureScorer, paths: Sequence[Path], n: int) -> list[PatchContext]:
    """The `n` least decided pictures under the reference, see `undecided`, each with a place."""
    if len(paths) < n:
        raise InputError("too few pictures to paste patterns onto", got=f"{len(paths)} pictures", allowed=f"at least {n}")
    order = undecided(scorer(paths))[:n].tolist()
    return [PatchContext(path=paths[i], place=_PLACES[turn % len(_PLACES)]) for turn, i in enumerate(order)]


def pattern_logits(
    scorer: PictureScorer, contexts: Sequence[PatchContext], *, progress: Callable[[int], None] | None = None
) -> FloatArray:
    """Logits `patterns contexts classes` of every pattern pasted onto every picture; `progress` gets patterns just scored."""
    parts = []
    for tile, share in patterns().values():
        with _pasted(tile, share, contexts) as paths:
            parts.append(scorer(paths))
        if progress is not None:
            progress(1)
    return np.stack(parts)


def picture_scorer(logits: Callable[[Sequence[PerturbedImage]], FloatArray], *, n_patches: int) -> PictureScorer:
    """A PictureScorer of `TokenScorer.logits` for a model that cuts a picture into `n_patches`; nothing is removed."""
    return lambda paths: logits(whole(paths, n_patches))


def whole(paths: Sequence[Path], n_patches: int) -> list[PerturbedImage]:
    """The pictures with nothing removed."""
    return [PerturbedImage(path, np.zeros(n_patches, dtype=bool)) for path in paths]


def paste(image: Any, tile: Pixels, share: float, place: tuple[float, float]) -> Any:
    """A copy of the prepared picture with the pattern, `share` of its shorter side, centred at `place` as far as it fits."""
    from PIL import Image

    side = max(1, round(share * min(image.size)))
    top, left = (
        min(max(round(at * extent - side / 2), 0), extent - side) for at, extent in zip(place, image.size[::-1], strict=True)
    )
    copy = image.copy()
    copy.paste(Image.fromarray(tile).resize((side, side), Image.Resampling.NEAREST), (left, top))
    return copy


@contextmanager
def _pasted(tile: Pixels, share: float, contexts: Sequence[PatchContext]) -> Iterator[list[Path]]:
    """The pictures with the pattern as files without loss: scorers read files."""
    from calig.pictures import open_picture

    with tempfile.TemporaryDirectory(prefix="calig-probe-") as folder:
        paths = []
        for number, context in enumerate(contexts):
            try:
                picture = paste(open_picture(context.path), tile, share, context.place)
            except InvalidInputError as error:
                raise CouldNotRunError(f"cannot read the image {context.path}", got=error) from error
            paths.append(Path(folder) / f"{number}.png")
            picture.save(paths[-1])
        yield paths


def _solids() -> dict[str, Pixels]:
    return {f"{name} square": _two_coloured(np.ones((_CELLS, _CELLS), dtype=bool), c, c) for name, c in _COLOURS.items()}


def _boards() -> dict[str, Pixels]:
    rows, columns = np.indices((_CELLS, _CELLS))
    pairs = (("black", "white"), ("red", "green"), ("blue", "yellow"))
    boards = {cell: (rows // cell + columns // cell) % 2 == 0 for cell in (1, 3)}
    return {
        f"{a}-{b} checkerboard of {_CELLS // cell}": _two_coloured(board, _COLOURS[a], _COLOURS[b])
        for cell, board in boards.items()
        for a, b in pairs
    }


def _crosses() -> dict[str, Pixels]:
    rows, columns = np.indices((_CELLS, _CELLS))
    middle = (_CELLS // 2 - 1, _CELLS // 2)
    cross = np.isin(rows, middle) | np.isin(columns, middle)
    return {
        f"{name} cross on {ground}": _two_coloured(cross, _COLOURS[name], _COLOURS[ground])
        for name, ground in (("white", "black"), ("black", "white"), ("red", "white"), ("yellow", "black"))
    }


def _noise() -> dict[str, Pixels]:
    draw = np.random.default_rng
    return {f"noise {n}": draw(n).integers(0, 256, (_CELLS, _CELLS, 3), dtype=np.uint8) for n in range(1, _NOISES + 1)}


def _two_coloured(mask: NDArray[np.bool_], on: tuple[int, int, int], off: tuple[int, int, int]) -> Pixels:
    return np.where(mask[..., None], np.array(on, dtype=np.uint8), np.array(off, dtype=np.uint8))
