"""The governance step: the record of one explanation, and its verdict."""

from components.governance.decision import decide, unjudged_quality
from components.governance.record import build_record, crosswalk, environment

__all__ = ["build_record", "crosswalk", "decide", "environment", "unjudged_quality"]
