"""Synthetic dialogues for emotion recognition in conversation: write them, train on them, test whether they helped."""
