"""Benchmarks: every figure that the README quotes, as a command."""
