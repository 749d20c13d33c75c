"""Shared by all steps: errors, secrets, files, settings, intervals. Imports no step."""
