"""How long other work on the machine kept a call waiting for a processor.

The kernel counts how long each thread was ready to run and did not (run_delay, the second figure of /proc/<pid>/task/<tid>/schedstat;
Documentation/scheduler/sched-stats.rst). A process that starts more threads than there are processors makes itself wait, which is
its own slowness and no neighbour's, so no more is put down to others than the processor time that they used meanwhile: the busy time
of /proc/stat (proc(5)) on the processors this process may run on, less its own and its parent's, which scores beside it. What the
host of a virtual machine stole from those processors is added by this process's share of their use. Neighbours that share a cache or
the memory's bandwidth slow it down without making it wait, and are not seen.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_BUSY = (0, 1, 2, 5, 6)  # user (guests included), nice, system, irq, softirq: columns of a "cpu" line of /proc/stat
_STEAL = (7,)
_UTIME = 11  # of /proc/<pid>/stat, counted after the name in brackets; stime follows


@dataclass(frozen=True, slots=True)
class _Reading:
    """Seconds since some beginning: delay of this process's threads, its processor time, its parent's; of the processors, busy and stolen."""

    delayed: float
    own: float
    parent: float
    busy: float
    stolen: float


class Neighbours:
    """Measures one call: `begin`, then `end`."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._before: _Reading | None = None

    def begin(self) -> None:
        self._before = self._read()

    def end(self) -> float | None:
        """The share of the time that this process could have run in which it waited for others, in [0, 1]; None where the kernel does not say."""
        before, after = self._before, self._read()
        if before is None or after is None:
            return None
        own = max(0.0, after.own - before.own)
        others = max(0.0, after.busy - before.busy - own - (after.parent - before.parent))
        stolen = max(0.0, after.stolen - before.stolen) * (own / (own + others) if own else 0.0)
        waited = min(max(0.0, after.delayed - before.delayed), others) + stolen
        return waited / (own + waited) if own + waited > 0 else 0.0

    def _read(self) -> _Reading | None:
        try:
            return _Reading(self._delayed(), time.process_time(), self._parent(), *self._processors())
        except (OSError, ValueError, IndexError):
            return None

    def _delayed(self) -> float:
        """Threads that ended since `begin` are forgotten, so this can fall; pools of threads stay."""
        return sum(_nanoseconds(task / "schedstat") for task in (self._proc / "self" / "task").iterdir()) / 1e9

    def _parent(self) -> float:
        fields = (self._proc / str(os.getppid()) / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return (int(fields[_UTIME]) + int(fields[_UTIME + 1])) / _TICKS

    def _processors(self) -> tuple[float, float]:
        mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        rows = [line.split() for line in (self._proc / "stat").read_text(encoding="ascii").splitlines() if line.startswith("cpu")]
        busy, stolen = (sum(int(row[1 + column]) for row in rows if row[0] in mine for column in columns) / _TICKS for columns in (_BUSY, _STEAL))
        return busy, stolen


def _nanoseconds(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii").split()[1])
    except (FileNotFoundError, ProcessLookupError):  # the thread ended while the others were read
        return 0


_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
