"""A watched version before anything is started: what it asks for, whether tags may ask for that, and when to try again."""

from components.watching.asking import asked_for
from components.watching.digests import digest_of_data, digest_of_file
from components.watching.failing import After, after_failure
from components.watching.reasons import clean_reason

__all__ = ["After", "after_failure", "asked_for", "clean_reason", "digest_of_data", "digest_of_file"]
