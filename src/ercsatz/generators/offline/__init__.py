"""The generator that needs no model: a seeded grammar."""
