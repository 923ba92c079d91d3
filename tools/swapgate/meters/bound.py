"""A hard limit on what this process may hold of a device, so that a large card stands for a smaller one.

`torch.cuda.set_per_process_memory_fraction` bounds what torch's caching allocator may take from the driver: beyond it an allocation first gives
back what is cached, and then raises torch.OutOfMemoryError, as on a full card. Beside the allocator a process holds its CUDA context, loaded
kernels and what libraries take for themselves; that is measured, and taken off the limit, so that the process as NVML sees it stays within it.
A real card of that size holds less by what its driver keeps for itself, some hundred MiB, which NVML tells of this device as `reserve`.
"""

from __future__ import annotations

from typing import Any, Protocol

from swapgate.meters.memory import MIB
from swapgate.meters.nvml import Device


class Bound(Protocol):
    """A limit on this process's memory of a device. MiB."""

    total: float | None
    reserve: float | None
    note: str

    def set(self, limit: float) -> float:
        """Bind this process to `limit`, and give what is allowed of it to torch."""

    def lift(self) -> None:
        """No limit."""

    def beside(self) -> float:
        """What this process holds now beside torch's allocator."""

    def free(self) -> float:
        """What torch could still have if there were no limit: what it has, and what nobody has."""


class TooSmallError(Exception):
    """A limit below what the process holds beside torch."""


class CudaBound:
    """The limit of a CUDA device; `note` says where its figures are from."""

    def __init__(self, device: Any, nvml: Device | None = None) -> None:
        import torch

        self._cuda: Any = torch.cuda
        self._device = device
        self._nvml = nvml or Device(str(torch.cuda.get_device_properties(device).uuid))
        self.total: float | None = self._cuda.mem_get_info(device)[1] / MIB
        self.reserve: float | None = self._nvml.reserved_mib()
        self._listed = self._nvml.process_mib() is not None
        self.note = (
            "process memory: as NVML lists it"
            if self._listed
            else "process memory: NVML does not list this process; all that is in use on the device counts as its own"
        )

    def set(self, limit: float) -> float:
        assert self.total is not None
        beside = self.beside()
        allowed = min(limit - beside, self.total)
        if allowed <= 0:
            raise TooSmallError(f"CUDA alone takes {beside:.0f} MiB of this process")
        self._cuda.set_per_process_memory_fraction(allowed / self.total, self._device)
        return allowed

    def lift(self) -> None:
        self._cuda.set_per_process_memory_fraction(1.0, self._device)

    def beside(self) -> float:
        held = self._nvml.process_mib() if self._listed else self._used()
        return max(0.0, (self._used() if held is None else held) - self._reserved())

    def free(self) -> float:
        return float(self._cuda.mem_get_info(self._device)[0]) / MIB + self._reserved()

    def _used(self) -> float:
        free, total = self._cuda.mem_get_info(self._device)
        return float(total - free) / MIB

    def _reserved(self) -> float:
        return float(self._cuda.memory_reserved(self._device)) / MIB


class NoBound:
    """Of a CPU: there is nothing to bind."""

    total: float | None = None
    reserve: float | None = None
    note = "no limit: this is no CUDA device"

    def set(self, limit: float) -> float:
        return limit

    def lift(self) -> None:
        """Nothing to do."""

    def beside(self) -> float:
        return 0.0

    def free(self) -> float:
        return float("inf")
