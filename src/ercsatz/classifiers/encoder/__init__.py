"""Pretrained encoders: opening, packing, tokens, features."""
