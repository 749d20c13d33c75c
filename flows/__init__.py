"""The wiring: Prefect flows, their tasks, and the command line."""
