"""Rules for a watched version: what it is explained with, which tags count, and when a failed run is tried again."""

from components.watching.digests import digest_of_data, digest_of_file
from components.watching.request import (
    After,
    Asked,
    after_failure,
    asked_for,
    clean_reason,
    ignored_tags,
    is_admitted,
    tagged_settings,
)

__all__ = [
    "After",
    "Asked",
    "after_failure",
    "asked_for",
    "clean_reason",
    "digest_of_data",
    "digest_of_file",
    "ignored_tags",
    "is_admitted",
    "tagged_settings",
]
