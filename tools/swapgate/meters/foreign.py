"""Which other processes use the device while a call is made on it.

NVML lists the processes of a device; those that are not of this suite (its process, and all that it started: the other arm of an A/B
run) are foreign. A list is looked at before and after a call, outside its time: one that comes and goes within a call is not seen.

In a container the list may be empty or in numbers of the host, and then this process is not in it. What is left is the device's memory:
used, less what torch has reserved here, less what this process holds beside (its CUDA context and loaded kernels, measured after
loading against what was used before it began). That is sound only while no other process of the suite computes on a GPU, and only for more than
`UNNAMED_MIB`, since kernels are loaded when they are first used; else a note says that it cannot be told.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from swapgate.meters.nvml import Device, is_mps_server

UNNAMED_MIB = 512.0
CONTEXT_MIB = 2048.0  # no context with its kernels is larger; what is above was another process's that came while the model was loaded
UNNAMED = "an unnamed process"
_UVM = "/dev/nvidia-uvm"  # open in every process that has a CUDA context, and in none that only asks NVML

Seen = tuple[tuple[str, float | None], ...]


class Foreign:
    """Looks around one call: `loaded` once, then `begin` and `end` of every call. `notes` says what cannot be told, after `loaded`.

    The suite's process itself says whether it computes on a GPU (`computes_here`): that it has one open may only mean that it asked for one.

    Args:
        device: where this process computes.
        reserved: MiB that torch's allocator holds of it now.
        proc: where the kernel shows processes.
    """

    def __init__(self, device: Device, reserved: Callable[[], float], *, proc: Path = Path("/proc")) -> None:
        self._device, self._reserved, self._proc = device, reserved, proc
        self._suite = os.getppid()
        self._named = False
        self._suite_computes = False
        self._own: float | None = None  # MiB beside torch's; None: nothing can be told from the device's memory
        self._before: Seen = ()
        self.notes: tuple[str, ...] = ()

    def loaded(self, before: Mapping[str, float], *, suite_computes: bool) -> None:
        """The model is loaded; before: MiB that were in use on every device, by UUID, when this process was not yet started."""
        self._suite_computes = suite_computes
        listed = self._device.processes()
        self._named = listed is not None and os.getpid() in listed
        if self._device.why or self._named:
            return
        used, then = self._device.used_mib(), before.get(self._device.uuid)
        others = self._suite_on_device()
        if used is None or then is None or others:
            why = f"and {others} more of this suite use a GPU" if others else "nor what was used before"
            self.notes = (f"foreign processes: cannot be told, because NVML lists no process of this namespace, {why}",)
            return
        self._own = min(max(0.0, used - then - self._reserved()), CONTEXT_MIB)
        self.notes = (
            f"foreign processes: NVML lists no process of this namespace, so only those that together hold more than {UNNAMED_MIB:g} MiB are noticed",
        )

    def begin(self, *, suite_computes: bool) -> None:
        """A call is about to be made."""
        self._suite_computes = suite_computes
        self._before = self._look()

    def end(self) -> Seen:
        """The foreign processes at the beginning or the end of the call, by name, with the most that each held in MiB."""
        return merged((*self._before, *self._look()))

    def _look(self) -> Seen:
        if self._device.why:
            return ()
        if self._named:
            found = [(self._device.name_of(pid), held) for pid, held in (self._device.processes() or {}).items() if not self._ours(pid)]
            return tuple((name, held) for name, held in found if not is_mps_server(name))
        return self._unnamed()

    def _unnamed(self) -> Seen:
        used = self._device.used_mib() if self._own is not None else None
        if used is None or self._own is None or self._suite_on_device():
            return ()
        more = used - self._reserved() - self._own
        return ((UNNAMED, more),) if more > UNNAMED_MIB else ()

    def _ours(self, pid: int) -> bool:
        """Of this suite, or gone since: a process that has just ended cannot be asked whose it was."""
        import psutil

        if pid in (os.getpid(), self._suite) or not psutil.pid_exists(pid):
            return True
        try:
            return any(parent.pid == self._suite for parent in psutil.Process(pid).parents())
        except psutil.Error:  # another user's, which /proc may hide
            return False

    def _suite_on_device(self) -> int:
        """How many processes of the suite beside this one compute on a GPU, or may."""
        import psutil

        try:
            family = [child.pid for child in psutil.Process(self._suite).children(recursive=True)]
        except psutil.Error:
            family = []
        return self._suite_computes + sum(self._computes(pid) for pid in family if pid != os.getpid())

    def _computes(self, pid: int) -> bool:
        try:
            return any(os.readlink(entry) == _UVM for entry in (self._proc / str(pid) / "fd").iterdir())
        except FileNotFoundError:  # it has ended, or there is no /proc
            return False
        except OSError:  # not ours to look into
            return True


def computes_here() -> bool:
    """Whether this process has a CUDA context of torch's."""
    torch: Any = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())


def merged(seen: Iterable[tuple[str, float | None]]) -> Seen:
    """Every name once, with the most MiB that it held, in the order of the names."""
    found: dict[str, float | None] = {}
    for name, held in seen:
        found[name] = max(filter(None, (found.get(name), held)), default=None)
    return tuple(sorted(found.items()))


def said(foreign: Iterable[tuple[str, float | None]]) -> str:
    """Foreign processes in words: "python3 (4242) with 1024 MiB, Xorg (7)"."""
    return ", ".join(name if held is None else f"{name} with {held:.0f} MiB" for name, held in foreign)
