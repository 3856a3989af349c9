"""How good a synthetic data set is: pure functions of dialogues and an embedder."""
