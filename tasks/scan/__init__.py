"""Scan: touch every image byte once, and keep the facts."""
