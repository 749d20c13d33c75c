"""Models of the registry: names, downloads, folders, registration."""
