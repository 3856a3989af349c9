"""Rank finished sweeps or a table of scores: python rank.py --help."""

from ercsatz.cli import rank

if __name__ == "__main__":
    rank()
