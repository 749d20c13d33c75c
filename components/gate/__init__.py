"""The gate: judges whether a version may go on, by its published evidence alone."""

from components.gate.judging import check_draft, judge
from components.gate.policy import Circumstances
from components.gate.summary import summary, write_junit, write_summary

__all__ = ["Circumstances", "check_draft", "judge", "summary", "write_junit", "write_summary"]
