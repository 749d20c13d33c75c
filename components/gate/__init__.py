"""The gate: may a version go on, by the evidence that is published for it? Nothing is computed anew."""

from components.gate.judging import judge
from components.gate.junit import write_junit
from components.gate.policy import Circumstances

__all__ = ["Circumstances", "judge", "write_junit"]
