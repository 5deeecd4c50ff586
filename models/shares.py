"""Where a name falls between 0 and 1: always the same, so that a split by names stays as it is when more come."""

from __future__ import annotations

import hashlib


def share_of(name: str) -> float:
    """In [0, 1), spread evenly over names."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32
