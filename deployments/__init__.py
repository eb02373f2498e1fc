"""Deployments and example recipes; data only, nothing is imported from here."""
