"""A generated data set: its folder, files, card and plot."""
