"""The report page of a subset, what came in, what was kept, what was not and why, with pictures; and that of two."""
