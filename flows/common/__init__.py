"""What all flows share: progress, process settings, task options, the local Prefect server, limits."""
