"""Pretrain on synthetic dialogues, fine-tune on real ones, test and rank: python train.py --help."""

from ercsatz.cli import train

if __name__ == "__main__":
    train()
