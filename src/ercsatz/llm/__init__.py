"""Asking a language model, whoever asks."""
