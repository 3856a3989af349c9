"""Emotion classifiers: one file each, on shared pieces."""
