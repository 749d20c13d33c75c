"""Model versions: lookup, aliases, references, notes."""
