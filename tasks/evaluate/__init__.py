"""Evaluate image-text models: zero-shot classification of labelled pictures."""
