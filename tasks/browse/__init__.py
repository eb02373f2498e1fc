"""Browse: what a subset would hold under other thresholds, at once and to be looked at."""
