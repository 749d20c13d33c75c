"""The parts of the webhook receiver in flows/listener.py: each guards one thing."""
