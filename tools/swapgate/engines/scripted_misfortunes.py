"""What a scripted process suffers on request: exit, signals, a hang, errors of its device, memory that runs out as told or really."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection

from swapgate.engines.base import OutOfMemoryError

CRASH_CODE = 70
WHEN = ("crash_at", "raise_at", "hang_at", "oom_at", "kill_at", "segfault_at", "fill_at", "device_error_at")
"""Options that name the images (from 1) at which something happens."""
_ROOM_MIB, _BLOCK_MIB = 256, 16


def befall(which: Collection[str]) -> None:
    """What those options of WHEN do to this process now; nothing for none."""
    if "crash_at" in which:
        os._exit(CRASH_CODE)
    if "kill_at" in which:
        os.kill(os.getpid(), signal.SIGKILL)
    if "segfault_at" in which:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang_at" in which:
        time.sleep(10**8)
    if "oom_at" in which:
        raise OutOfMemoryError("scripted: out of memory")
    if "fill_at" in which:
        fill()
    if "device_error_at" in which:
        raise RuntimeError("scripted: CUDA error: device-side assert triggered")
    if "raise_at" in which:
        raise RuntimeError("scripted: this image raises")


def fill(room_mib: int = _ROOM_MIB) -> None:
    """Take memory, and write to it, until the system gives no more: MemoryError. No more than `room_mib` is there to take (RLIMIT_AS)."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + room_mib * 1024 * 1024, hard))
    taken: list[bytes] = []
    try:
        while True:
            taken.append(b"\1" * (_BLOCK_MIB * 1024 * 1024))
    except MemoryError:
        raise MemoryError(f"no more to be had after {len(taken) * _BLOCK_MIB} MiB") from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
