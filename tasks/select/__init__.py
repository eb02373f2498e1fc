"""Select: one subset's verdict on every row, from signals and pairs alone."""
