"""Retrieve: the pictures of a source, or of a subset, that are most like a text."""
