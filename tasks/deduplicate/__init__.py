"""Deduplicate: which perceptual hashes lie within the radius; it does not choose."""
