"""Segmenting and translating what is heard."""
