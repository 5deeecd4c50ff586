"""Whisper made causal: it hears while you speak. Model, training, export and streaming recognizer."""
