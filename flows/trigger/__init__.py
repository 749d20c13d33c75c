"""Unattended operation: decides what a registered version needs, and starts it."""
