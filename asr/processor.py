"""What the processor is good at."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path
from typing import Final

_WITH: Final = ("avx512_vnni", "avx_vnni")


@cache
def multiplies_bytes(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether products of 8-bit numbers are exact and fast. x86 without VNNI adds pairs of them in 16 bits, which
    overflow; where nothing is known of the processor, it is taken to be a new one.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    try:
        flags = next(line for line in cpuinfo.read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return True
    return any(name in flags.split() for name in _WITH)
