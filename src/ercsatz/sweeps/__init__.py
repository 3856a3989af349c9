"""A sweep: its cells, their results, and its ranking."""
