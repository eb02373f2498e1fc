"""Write: copy the kept rows' bytes untouched, and say where every other row went."""
