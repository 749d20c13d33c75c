"""The governance step: one record from all findings, and one decision."""

from components.governance.decision import decide
from components.governance.environment import environment
from components.governance.record import build_record, crosswalk
from components.governance.unjudged import unjudged_quality

__all__ = ["build_record", "crosswalk", "decide", "environment", "unjudged_quality"]
