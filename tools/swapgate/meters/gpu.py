"""The state of a device: clocks, temperature, power, throttling, and the name under which its figures are compared.

NVML numbers devices its own way (CUDA_VISIBLE_DEVICES, another order), so the device is found by the UUID that CUDA
gives, never by its index. Nothing here fails: what cannot be read is None, and the reason is a note.
"""

from __future__ import annotations

import os
import re
from importlib import import_module
from typing import Any

from swapgate.meters.in_use import held_here
from swapgate.meters.kinds import Meters
from swapgate.meters.memory import MIB, CpuMemory, CudaMemory, resident_peak
from swapgate.meters.neighbours import Neighbours
from swapgate.runs.environment import cpu_model
from swapgate.runs.records import DeviceHealth

THROTTLE = {
    0x2: "applications-clocks",
    0x4: "software-power-cap",
    0x8: "hardware-slowdown",
    0x10: "sync-boost",
    0x20: "software-thermal",
    0x40: "hardware-thermal",
    0x80: "hardware-power-brake",
    0x100: "display-clocks",
}
"""Bits of nvmlClocksEventReasons (nvml.h). Bit 0x1 means idle, which slows nothing down, and is left out."""


def slug(name: str) -> str:
    """A device's name in lower case, words joined by hyphens: "NVIDIA H200" gives "nvidia-h200"."""
    plain = re.sub(r"\((?:r|tm)\)", " ", name.lower())
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def accelerator_slug(device: str) -> str:
    """The slug of "cpu" ("cpu-amd-epyc") or of a CUDA device ("nvidia-h200")."""
    if device.startswith("cuda"):
        import torch

        return slug(torch.cuda.get_device_name(torch.device(device)))
    return f"cpu-{slug(cpu_model())}".rstrip("-")


def meters_for(device: str) -> Meters:
    """The meters of a torch device: "cpu", "cuda" or "cuda:<n>"."""
    resident, notes = resident_peak()
    if not device.startswith("cuda"):
        held, remark = held_here()
        return Meters(
            memory=CpuMemory(resident, held),
            accelerator=accelerator_slug(device),
            device_name=cpu_model(),
            neighbours=Neighbours(),
            notes=notes + remark,
        )
    import torch

    where = torch.device(device)
    nvml = Nvml(str(torch.cuda.get_device_properties(where).uuid))
    return Meters(
        memory=CudaMemory(where, resident, nvml.process_mib),
        accelerator=accelerator_slug(device),
        device_name=torch.cuda.get_device_name(where),
        synchronise=lambda: torch.cuda.synchronize(where),
        health=nvml.health,
        neighbours=Neighbours(),
        notes=notes + nvml.notes,
    )


class Nvml:
    """One device as NVML sees it; `notes` says what cannot be read and why."""

    def __init__(self, uuid: str) -> None:
        self.notes: tuple[str, ...] = ()
        self._handle: Any = None
        try:
            self._nvml: Any = import_module("pynvml")
            self._nvml.nvmlInit()
            self._handle = self._nvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}")
        except Exception as error:  # no module, no driver, no such device: a run without these figures is still a run
            self.notes = (f"device health: NVML cannot be used ({type(error).__name__}: {error})",)
            return
        if self.process_mib() is None:
            self.notes = ("process memory: NVML does not list this process (another process namespace?)",)

    def health(self) -> DeviceHealth:
        """Clocks, temperature, power and throttle reasons now; None for what NVML does not give."""
        if self._handle is None:
            return DeviceHealth()
        nvml = self._nvml
        power = self._read("nvmlDeviceGetPowerUsage")
        return DeviceHealth(
            sm_clock=self._read("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            memory_clock=self._read("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
            temperature=self._read("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            power=None if power is None else power / 1000,
            throttle=self._throttle(),
        )

    def process_mib(self) -> float | None:
        """MiB of this process on the device; None when NVML does not show them.

        In a container NVML may list processes under numbers of the host; the only one listed is then taken to be this.
        """
        if self._handle is None:
            return None
        try:
            listed = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
        except self._nvml.NVMLError:
            return None
        mine = [entry for entry in listed if entry.pid == os.getpid()] or (list(listed) if len(listed) == 1 else [])
        used = mine[0].usedGpuMemory if mine else None
        return None if used is None else used / MIB

    def _throttle(self) -> tuple[str, ...]:
        for name in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
            bits = self._read(name)
            if bits is not None:
                return tuple(reason for bit, reason in THROTTLE.items() if int(bits) & bit)
        return ()

    def _read(self, name: str, *args: Any) -> float | None:
        function = getattr(self._nvml, name, None)
        if function is None:
            return None
        try:
            return float(function(self._handle, *args))
        except self._nvml.NVMLError:
            return None
