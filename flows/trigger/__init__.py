"""The unattended side: decides what a registered version needs, and starts it."""
