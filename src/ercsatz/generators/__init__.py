"""What writes synthetic dialogues: one file a generator, with its options and what it can do, and an interface."""
