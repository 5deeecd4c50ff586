"""The catalog: model names, where their files come from, and their hashes."""
