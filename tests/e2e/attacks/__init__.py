"""Attacks on the verdict: a world with a shortcut version, the operator who judges it, and the attacker who would turn it."""
