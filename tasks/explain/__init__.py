"""Explain: why a row is in a subset, or why not."""
