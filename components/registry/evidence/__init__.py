"""Published evidence: runs, artifacts, metrics, descriptions, sign-offs."""
