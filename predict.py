"""Predict the emotions of your own dialogues: python predict.py --help."""

from ercsatz import signals

if __name__ == "__main__":
    signals.install()  # before what takes a while to import
    from ercsatz.cli import predict

    predict()
