"""The tokenizer of a fetched version, for steps that score texts of their own."""

from __future__ import annotations

from typing import Any

from components.errors import InputError
from schemas.release import ModelSnapshot


def load_tokenizer(snapshot: ModelSnapshot) -> tuple[Any, int | None]:
    """The tokenizer and the most tokens of a text (None: no limit); InputError when it cannot be loaded."""
    from transformers import AutoConfig, AutoTokenizer

    from calig.inputs import length_limit

    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(snapshot.processor_path, **safe)
        config = AutoConfig.from_pretrained(snapshot.model_path, **safe)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot load the tokenizer of {snapshot.uri}", got=error) from error
    return tokenizer, length_limit(config, tokenizer, None)
