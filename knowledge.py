"""Find out what commonsense says about the utterances of a data set: python knowledge.py --help."""

from ercsatz import signals

if __name__ == "__main__":
    signals.install()  # before what takes a while to import
    from ercsatz.cli import knowledge

    knowledge()
