"""Faults injected into real servers and real runs, and what they cost: `make bench-faults`."""
