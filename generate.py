"""Write a synthetic data set: python generate.py --help."""

from ercsatz.cli import generate

if __name__ == "__main__":
    generate()
