"""The pipeline's steps: one plain function or few per file, no orchestration. Steps do not import each other."""
