"""Loggers and dashboards."""
