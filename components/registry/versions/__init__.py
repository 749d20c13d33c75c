"""Model versions: lookup, watched versions, lineage, promotion."""
