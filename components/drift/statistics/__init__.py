"""The statistics of drift: one module each."""
