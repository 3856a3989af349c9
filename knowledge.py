"""Find out what commonsense says about the utterances of a data set: python knowledge.py --help."""

from ercsatz.cli import knowledge

if __name__ == "__main__":
    knowledge()
