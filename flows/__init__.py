"""The wiring: Prefect flows, their tasks, and the command line. Whoever imports them, also a worker, logs no secrets."""

from components.common.secrets import guard_logs

guard_logs()
