"""A sweep as a page and on the terminal, also while it runs."""
