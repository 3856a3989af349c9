"""Pretrain on synthetic dialogues, fine-tune on real ones, test and rank: python train.py --help."""

from ercsatz import signals

if __name__ == "__main__":
    signals.install()  # before what takes a while to import
    from ercsatz.cli import train

    train()
