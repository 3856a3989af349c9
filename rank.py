"""Rank finished sweeps or a table of scores: python rank.py --help."""

from ercsatz import signals

if __name__ == "__main__":
    signals.install()  # before what takes a while to import
    from ercsatz.cli import rank

    rank()
