"""Predict the emotions of your own dialogues: python predict.py --help."""

from ercsatz.cli import predict

if __name__ == "__main__":
    predict()
