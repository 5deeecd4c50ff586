"""What this machine can carry."""

from __future__ import annotations

from pathlib import Path

import psutil

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_bytes() -> int:
    """Memory that this process may use in all: the machine's, or the container's limit where that is less."""
    limits = [psutil.virtual_memory().total]
    for path in _own_limits():
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            limits.append(int(text))
    return min(limits)


def _own_limits() -> list[Path]:
    paths = [Path(path) for path in _LIMITS]
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return paths
    own = [line.split("::", 1)[1] for line in lines if line.startswith("0::")]
    return paths + [Path("/sys/fs/cgroup") / cgroup.strip("/") / "memory.max" for cgroup in own]
