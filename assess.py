"""Say how good a synthetic data set is: python assess.py --help."""

from ercsatz.cli import assess

if __name__ == "__main__":
    assess()
