"""The test suite: mirrors the source tree."""
