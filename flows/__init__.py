"""Prefect flows that compose tasks, and the command line."""
