"""Memory of a server on this machine: what NVML shows of the process that listens at its port, and of that process's children.

Only the device is read, and only from outside: a server's allocator keeps what it once took, so that what the process holds after a call
is the most that it held until then, as nvidia-smi shows it. It includes what its libraries take for themselves, and growth is read from it, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from swapgate.meters.kinds import MemoryMeter, Unmeasured
from swapgate.meters.memory import MIB
from swapgate.meters.nvml import Device, used_by_uuid
from swapgate.runs.records import Memory

Listing = Callable[[], Mapping[int, float | None] | None]
"""MiB by process number on one device; None where they cannot be listed."""


def memory_of(host: str, port: int, *, loopback: bool, devices: Sequence[Listing] | None = None) -> tuple[MemoryMeter, str, tuple[str, ...]]:
    """The meter of a server's memory, why there is none ("" where there is), and notes.

    Args:
        host: its name or address.
        port: where it listens.
        loopback: whether that is on this machine.
        devices: what lists the processes of each device; None for every device that NVML knows.
    """
    if not loopback:
        return Unmeasured(), f"the server is on another machine ({host}), and the images API tells no memory", ()
    pids = listening(port)
    if not pids:
        return Unmeasured(), f"no process of this user's view listens at port {port} of this machine (a container?)", ()
    listings, why = (devices, "") if devices is not None else _listings()
    if not listings:
        return Unmeasured(), f"the server is on this machine, but {why or 'NVML shows no device'}", ()
    meter = ServerMemory(pids[0], listings)
    if meter.device_mib() is None:
        return Unmeasured(), f"the server is on this machine (process {pids[0]}), but NVML shows no memory of it or its children on a device", ()
    return meter, "", (f"memory: that of process {pids[0]} and its children on the device, as NVML shows it",)


def listening(port: int) -> tuple[int, ...]:
    """Numbers of the processes that listen at a TCP port, lowest first, of those that this user may see."""
    import psutil

    try:
        found = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError, RuntimeError):
        return ()
    return tuple(sorted({one.pid for one in found if one.pid and one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port}))


class ServerMemory:
    """Meter of a process and its children on all devices together; MiB."""

    def __init__(self, pid: int, devices: Sequence[Listing]) -> None:
        self._pid, self._devices = pid, tuple(devices)
        self._before = 0.0

    def begin(self) -> None:
        self._before = self.device_mib() or 0.0

    def end(self) -> Memory | None:
        now = self.device_mib()
        if now is None:
            return None
        return Memory(allocated=None, reserved=None, process=max(now, self._before), resident=self._resident(), held=now)

    def so_far(self) -> float | None:
        """Nothing: asking NVML at every stage would stretch what is measured."""
        return None

    def device_mib(self) -> float | None:
        """MiB on all devices now; None where none of these processes is seen on any."""
        own = {process.pid for process in self._family()}
        held = [mib for listing in self._devices for pid, mib in (listing() or {}).items() if pid in own and mib is not None]
        return sum(held) if held else None

    def _family(self) -> list[Any]:
        import psutil

        try:
            parent = psutil.Process(self._pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.Error:
            return []

    def _resident(self) -> float:
        import psutil

        total = 0
        for process in self._family():
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue
        return total / MIB


def _listings() -> tuple[list[Listing], str]:
    found, why = used_by_uuid()
    return [Device(uuid, exact=True).processes for uuid in found], why
