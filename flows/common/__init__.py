"""Shared by all flows: progress, process settings, task options, the local Prefect server, limits."""
