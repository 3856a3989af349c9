"""EmoOne-RoBERTa (Lee, Interspeech 2022)."""
