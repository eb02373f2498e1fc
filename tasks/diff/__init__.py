"""Hold two subsets against each other."""
