"""Replaying: are attributions that were computed again the ones that were published?"""

from components.replay.comparison import compare_rows
from components.replay.surroundings import environment_changes, identity_changes

__all__ = ["compare_rows", "environment_changes", "identity_changes"]
