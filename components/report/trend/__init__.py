"""The trend page: quality and drift over all versions of a model."""
