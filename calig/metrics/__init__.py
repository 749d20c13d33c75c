"""Measures of an attribution's quality: pure functions over arrays; the model is a `Scorer` that is passed in."""
