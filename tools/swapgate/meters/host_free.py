"""How much more host memory this process may take: what the system has, or what its control group leaves (a container's limit).

Sources: psutil.virtual_memory().available; cgroup v2 memory.max, memory.current and inactive_file of memory.stat, which the kernel gives up first
(Documentation/admin-guide/cgroup-v2.rst), and the same of v1.
"""

from __future__ import annotations

from pathlib import Path

from swapgate.meters.memory import MIB

GROUPS = Path("/sys/fs/cgroup")
_V2 = ("memory.max", "memory.current", "memory.stat", "inactive_file")
_V1 = ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file")


def host_free_mib(groups: Path = GROUPS) -> float:
    """MiB that can still be taken."""
    import psutil

    found = [float(psutil.virtual_memory().available)]
    for limit, used, stat, cached in (_V2, _V1):
        try:
            most = (groups / limit).read_text(encoding="ascii").strip()
            if most != "max":
                found.append(int(most) - int((groups / used).read_text(encoding="ascii")) + _entry(groups / stat, cached))
        except (OSError, ValueError):  # not this version, or nothing to read here
            continue
    return max(0.0, min(found)) / MIB


def _entry(file: Path, name: str) -> int:
    rows = (line.split() for line in file.read_text(encoding="ascii").splitlines())
    return next((int(row[1]) for row in rows if row[0] == name), 0)
