"""What a host measures a call with. An engine brings the meters that fit where it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from swapgate.meters.foreign import Seen
from swapgate.meters.neighbours import Neighbours
from swapgate.runs.records import DeviceHealth, Memory


class MemoryMeter(Protocol):
    """Peaks of one call: `begin` resets them, `end` reads them; `so_far` is the peak that counts, cheap enough to be read at every stage. MiB.

    None where nobody can measure it; `Meters.no_memory` then says why.
    """

    def begin(self) -> None: ...

    def end(self) -> Memory | None: ...

    def so_far(self) -> float | None: ...


class Unmeasured:
    """The meter of memory that is out of reach: that of a server elsewhere."""

    def begin(self) -> None:
        """Nothing to reset."""

    def end(self) -> None:
        """Nothing is known."""

    def so_far(self) -> None:
        """Nothing is known."""


class Others(Protocol):
    """Who else uses what a call is made on: `loaded` once, then `begin` and `end` of every call. notes: what cannot be told, after `loaded`."""

    notes: tuple[str, ...]

    def loaded(self, before: Mapping[str, float], *, suite_computes: bool) -> None: ...

    def begin(self, *, suite_computes: bool) -> None: ...

    def end(self) -> Seen: ...


def nothing() -> None:
    """A synchronisation for devices that need none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meters:
    """The meters of one engine.

    now: seconds of a monotonic clock; synchronise: waits until the device has done what it was given; health: state of
    the device now; neighbours: how long other work kept a call waiting, None where that is not asked; foreign: other processes on the
    device, or others' work on the server, None where there is none to share; accelerator: its slug ("nvidia-h200", "cpu-amd-epyc");
    device_name: as its maker writes it;
    devices: UUIDs as NVML knows them, none on a CPU; notes: what cannot be measured here and why, one line each;
    no_memory: why memory is not measured at all, "" where it is.
    """

    memory: MemoryMeter
    accelerator: str
    device_name: str
    now: Callable[[], float] = time.perf_counter
    synchronise: Callable[[], None] = nothing
    health: Callable[[], DeviceHealth] = DeviceHealth
    neighbours: Neighbours | None = None
    foreign: Others | None = None
    devices: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    no_memory: str = ""
