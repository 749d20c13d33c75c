"""What cuts a fetched version's inputs into tokens or patches, for steps that score inputs of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.errors import InputError
from schemas.release import ModelSnapshot


def load_tokenizer(snapshot: ModelSnapshot) -> tuple[Any, int | None]:
    """The tokenizer and the most tokens of a text (None: no limit); InputError when it cannot be loaded."""
    from transformers import AutoConfig, AutoTokenizer

    from calig.inputs import length_limit

    tokenizer = _loaded(AutoTokenizer, snapshot.processor_path, snapshot)
    return tokenizer, length_limit(_loaded(AutoConfig, snapshot.model_path, snapshot), tokenizer, None)


def patch_count(snapshot: ModelSnapshot) -> int:
    """Patches that an image model cuts a picture into; InputError when its configuration cannot be read."""
    from transformers import AutoConfig

    config = _loaded(AutoConfig, snapshot.model_path, snapshot)
    size = config.image_size
    height, width = (size, size) if isinstance(size, int) else size
    return int((height // config.patch_size) * (width // config.patch_size))


def _loaded(kind: Any, folder: Path, snapshot: ModelSnapshot) -> Any:
    try:
        return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot load the tokenizer or configuration of {snapshot.uri}", got=error) from error
