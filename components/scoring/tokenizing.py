"""What cuts a fetched version's inputs into tokens or patches, for steps that score inputs of their own."""

from __future__ import annotations

from typing import Any

from components.errors import engine_errors
from schemas.release import ModelSnapshot


def load_tokenizer(snapshot: ModelSnapshot) -> tuple[Any, int | None]:
    """The tokenizer and the most tokens of a text (None: no limit); InputError when it cannot be loaded."""
    from calig.inputs import length_limit
    from calig.loading import load_config, load_processor

    with engine_errors():
        tokenizer = load_processor(snapshot.processor_path, "text")
        return tokenizer, length_limit(load_config(snapshot.model_path), tokenizer, None)


def patch_count(snapshot: ModelSnapshot) -> int:
    """Patches that an image model cuts a picture into; InputError when its configuration cannot be read."""
    from calig.loading import load_config

    with engine_errors():
        config = load_config(snapshot.model_path)
    size = config.image_size
    height, width = (size, size) if isinstance(size, int) else size
    return int((height // config.patch_size) * (width // config.patch_size))
