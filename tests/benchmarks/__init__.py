"""Measurements of speed and memory: programs, each with a quick test that it runs."""
