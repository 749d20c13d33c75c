"""Prefect flows, their tasks, and the command line. Importing this package, also in a worker, keeps secrets out of logs."""

from components.common.secrets import guard_logs

guard_logs()
