"""How good a synthetic data set is, beside the real one: measured, judged, and written as a report."""
