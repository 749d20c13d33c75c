"""Published evidence: runs, documents, summary, publishing, the newest explanation."""
