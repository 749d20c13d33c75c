"""The governance step: the record of one explanation, and its verdict."""

from components.governance.decision import decide
from components.governance.environment import environment
from components.governance.record import build_record, crosswalk
from components.governance.unjudged import unjudged_quality

__all__ = ["build_record", "crosswalk", "decide", "environment", "unjudged_quality"]
