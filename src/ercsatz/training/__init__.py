"""Stages, phases and results."""
