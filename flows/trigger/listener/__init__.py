"""Receiver of MLflow's registry webhooks, with one module per check."""
