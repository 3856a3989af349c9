"""A search for good settings: a sweep whose next cells follow from the scores of those before."""
