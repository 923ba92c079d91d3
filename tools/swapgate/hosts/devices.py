"""Whether a device's memory is back when the process that held it has ended, and who holds what is not.

The driver gives memory back when a process has died, mostly before its parent hears of it; a process that hangs in the kernel, or one
that it started, can keep it. The next model would then not fit, or be judged by what another left. Only NVML is asked: no torch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from swapgate.meters import nvml
from swapgate.meters.foreign import said

BACK_SECONDS = 10.0
TOLERANCE_MIB = 64.0
_TURN_SECONDS = 0.1
NOT_BACK, NOT_WATCHED = "DEVICE_MEMORY_NOT_BACK", "DEVICE_MEMORY_NOT_WATCHED"


@dataclass(slots=True)
class _Use:
    """Processes of this suite on one device, and the MiB in use before the first of them was started."""

    level: float
    pids: set[int] = field(default_factory=set)


class Ledger:
    """The devices that processes of this suite hold memory of. For several threads at a time.

    Args:
        seconds: how long a device is waited for.
        levels: MiB in use by UUID, and why it cannot be told.
        sleep: waits.
    """

    def __init__(
        self,
        *,
        seconds: float = BACK_SECONDS,
        levels: Callable[[], tuple[Mapping[str, float], str]] = nvml.used_by_uuid,
        device: Callable[[str], nvml.Device] = lambda uuid: nvml.Device(uuid, exact=True),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds, self._levels, self._device, self._sleep = seconds, levels, device, sleep
        self._uses: dict[str, _Use] = {}
        self._lock = threading.Lock()
        self._loading = 0
        self._told = False

    def start(self) -> Mapping[str, float]:
        """MiB in use now, by UUID, for a process that is about to be started. Empty where NVML is absent."""
        with self._lock:
            self._loading += 1
        return self._levels()[0]

    def enter(self, pid: int, devices: Iterable[str], before: Mapping[str, float]) -> None:
        """That process has loaded and holds memory of these devices; before: what `start` gave."""
        with self._lock:
            self._loading -= 1
            for uuid in devices:
                if uuid in before:
                    use = self._uses.setdefault(uuid, _Use(level=before[uuid]))
                    use.level = min(use.level, before[uuid])
                    use.pids.add(pid)

    def failed(self, pid: int, before: Mapping[str, float]) -> tuple[str, ...]:
        """That process has ended without saying what it held: waits for every device that no other process of this suite uses or may be loading on."""
        with self._lock:
            self._loading -= 1
            idle = [uuid for uuid in before if uuid not in self._uses and not self._loading]
        return tuple(one for uuid in idle if (one := self._back(self._device(uuid), before[uuid], pid)))

    def leave(self, pid: int, devices: Iterable[str]) -> tuple[str, ...]:
        """That process has ended: waits until what it held is back. Warnings, one for each device that still lacks it, and once for no NVML."""
        return tuple(one for uuid in devices if (one := self._left(pid, uuid)))

    def _left(self, pid: int, uuid: str) -> str:
        with self._lock:
            use = self._uses.get(uuid)
            if use is None or pid not in use.pids:
                return self._unwatched()
            use.pids.discard(pid)
            alone = not use.pids
            if alone:
                del self._uses[uuid]
        device = self._device(uuid)
        return self._back(device, use.level, pid) if alone else self._waited(lambda: _still(device, pid), device, pid)

    def _back(self, device: nvml.Device, level: float, pid: int) -> str:
        return self._waited(lambda: _more(device, level), device, pid)

    def _waited(self, held: Callable[[], float], device: nvml.Device, pid: int) -> str:
        until = time.monotonic() + self._seconds
        while (more := held()) > TOLERANCE_MIB and time.monotonic() < until:
            self._sleep(_TURN_SECONDS)
        return _not_back(more, device, pid, self._seconds) if more > TOLERANCE_MIB else ""

    def _unwatched(self) -> str:
        why = self._levels()[1]
        if not why or self._told:
            return ""
        self._told = True
        return f"{NOT_WATCHED}: {why}, so nobody waits until a model's device memory is given back before the next one loads"


LEDGER = Ledger()


def _more(device: nvml.Device, level: float) -> float:
    """MiB above the level; 0 where nothing can be read any more."""
    used = device.used_mib()
    return 0.0 if used is None else used - level


def _still(device: nvml.Device, pid: int) -> float:
    """MiB that NVML still lists under a process: all that can be told while others of this suite use the device."""
    return (device.processes() or {}).get(pid) or 0.0


def _not_back(more: float, device: nvml.Device, pid: int, seconds: float) -> str:
    holders = [(device.name_of(number), held) for number, held in (device.processes() or {}).items()]
    whom = said(holders) or "no process that NVML lists"
    return (
        f"{NOT_BACK}: {more:.0f} MiB more than before are still held on {device.uuid} {seconds:g} s after process {pid} ended, by {whom}; "
        "end what holds them before the next run (nvidia-smi lists it), since the next model may not fit or be judged by them"
    )
