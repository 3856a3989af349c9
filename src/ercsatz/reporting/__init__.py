"""What every HTML report of the project shares: the page and its style, figures, and text made harmless."""
