"""Verify: read a published subset again, and hold it against its manifest and its promises."""
