"""Corpora: dialogues, their files, the benchmarks, and what two corpora share."""
