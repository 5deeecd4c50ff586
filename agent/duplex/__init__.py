"""The fast path: a duplex speech model that listens while it speaks, its conversations and its training."""
