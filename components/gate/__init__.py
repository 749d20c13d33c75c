"""The gate: judges whether a version may go on, by its published evidence alone."""

from components.gate.judging import judge
from components.gate.junit import write_junit
from components.gate.policy import Circumstances
from components.gate.ruling import check_draft

__all__ = ["Circumstances", "check_draft", "judge", "write_junit"]
