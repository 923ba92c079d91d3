"""Peak memory of one call: torch's allocator, the process on the device as NVML sees it, resident host memory. MiB.

Resident peaks come from the kernel's high-water mark (VmHWM), which is exact and costs nothing while the call runs;
writing "5" to /proc/self/clear_refs resets it (proc(5), "clear_refs"). Some sandboxes accept the write and do nothing,
so it is tried once. Where it does not work, a thread samples the resident size every 5 ms and can miss a shorter peak.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from swapgate.runs.records import Memory

MIB = 1024 * 1024
SAMPLE_SECONDS = 0.005
_CLEAR = "/proc/self/clear_refs"
_STATUS = "/proc/self/status"
_STATM = "/proc/self/statm"
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class ResidentPeak(Protocol):
    """The largest resident size of this process since `reset`; `so_far` reads it without ending anything."""

    def reset(self) -> None: ...

    def peak(self) -> float: ...

    def so_far(self) -> float: ...


def resident_now() -> float:
    """Resident size of this process in MiB."""
    try:
        with open(_STATM, encoding="ascii") as file:
            return int(file.read().split()[1]) * _PAGE / MIB
    except OSError:
        import psutil

        return float(psutil.Process().memory_info().rss) / MIB


class HighWater:
    """The kernel's own mark."""

    def reset(self) -> None:
        with open(_CLEAR, "w", encoding="ascii") as file:
            file.write("5")

    def peak(self) -> float:
        with open(_STATUS, encoding="ascii") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        raise OSError(f"{_STATUS} has no VmHWM")

    def so_far(self) -> float:
        return self.peak()


class Sampler:
    """A thread that looks every `SAMPLE_SECONDS`; it runs only between `reset` and `peak`."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._peak = 0.0

    def reset(self) -> None:
        self.peak()
        self._stop = threading.Event()
        self._peak = resident_now()
        self._thread = threading.Thread(target=self._watch, args=(self._stop,), name="swapgate-memory", daemon=True)
        self._thread.start()

    def peak(self) -> float:
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
        self._peak = max(self._peak, resident_now())
        return self._peak

    def so_far(self) -> float:
        self._peak = max(self._peak, resident_now())
        return self._peak

    def _watch(self, stop: threading.Event) -> None:
        while not stop.wait(SAMPLE_SECONDS):
            self._peak = max(self._peak, resident_now())


def high_water_works(megabytes: int = 32) -> bool:
    """Whether the mark rises with `megabytes` and falls after a reset, tried with real memory."""
    mark = HighWater()
    try:
        mark.reset()
        before = mark.peak()
        with mmap.mmap(-1, megabytes * MIB) as block:  # not from malloc, which may keep what is freed
            for start in range(0, len(block), _PAGE):
                block[start] = 1
            risen = mark.peak()
        mark.reset()
        return risen - before > megabytes / 2 and risen - mark.peak() > megabytes / 2
    except OSError:
        return False


def resident_peak() -> tuple[ResidentPeak, tuple[str, ...]]:
    """The best way there is here, and a note when it is not exact."""
    if Path(_CLEAR).exists() and high_water_works():
        return HighWater(), ()
    return Sampler(), (f"resident memory: sampled every {SAMPLE_SECONDS * 1000:g} ms, because the kernel's mark cannot be reset here",)


class CpuMemory:
    """Meter of an engine on the CPU: the resident size of its process is the peak; `held` gives what stays after a call, in MiB."""

    def __init__(self, resident: ResidentPeak, held: Callable[[], float] = resident_now) -> None:
        self._resident, self._held = resident, held

    def begin(self) -> None:
        self._resident.reset()

    def end(self) -> Memory:
        peak = self._resident.peak()
        return Memory(allocated=None, reserved=None, process=None, resident=peak, held=self._held())

    def so_far(self) -> float:
        return self._resident.so_far()


class CudaMemory:
    """Meter of an engine on CUDA devices, summed over them; `process` asks NVML for this process's MiB there, or gives None.

    The peaks of several devices need not come at the same moment: their sum is what they have to have together.
    """

    def __init__(self, devices: Sequence[Any], resident: ResidentPeak, process: Callable[[], float | None]) -> None:
        import torch

        self._cuda: Any = torch.cuda
        self._devices, self._resident, self._process = tuple(devices), resident, process

    def begin(self) -> None:
        for device in self._devices:
            self._cuda.reset_peak_memory_stats(device)
        self._resident.reset()

    def end(self) -> Memory:
        for device in self._devices:
            self._cuda.synchronize(device)
        return Memory(
            allocated=self._summed(self._cuda.max_memory_allocated),
            reserved=self._summed(self._cuda.max_memory_reserved),
            process=self._process(),
            resident=self._resident.peak(),
            held=self._summed(self._cuda.memory_allocated),
        )

    def _summed(self, figure: Callable[[Any], int]) -> float:
        return sum(figure(device) for device in self._devices) / MIB

    def so_far(self) -> float:
        """From the allocator's own books: nothing is asked of the device, which may be lost, and nothing is waited for."""
        # A tenth of the time of max_memory_allocated, which flattens the books.
        books = [self._cuda.memory_stats_as_nested_dict(device) for device in self._devices]
        return float(sum(book["allocated_bytes"]["all"]["peak"] for book in books)) / MIB


def known_peak() -> float | None:
    """The peak of this process in MiB where no meter was made yet: allocated on CUDA devices where torch uses one, else resident; None where nobody knows."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return float(sum(torch.cuda.max_memory_allocated(number) for number in range(torch.cuda.device_count()))) / MIB
    try:
        return HighWater().peak()
    except OSError:
        return None
