"""The state of a device: clocks, temperature, power, throttling, and the name under which its figures are compared.

Nothing here fails: what cannot be read is None, and the reason is a note.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from swapgate.meters.foreign import Foreign
from swapgate.meters.in_use import held_here
from swapgate.meters.kinds import Meters
from swapgate.meters.memory import MIB, CpuMemory, CudaMemory, resident_peak
from swapgate.meters.neighbours import Neighbours
from swapgate.meters.nvml import Device
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


_SUMMED = "process memory: not told of a model that is spread over devices; allocated and reserved are summed over them"


def meters_for(device: str, *, spread: bool = False) -> Meters:
    """The meters of a torch device: "cpu", "cuda" or "cuda:<n>"; spread: of that one and every other CUDA device, over which a model is spread."""
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
    used = [torch.device("cuda", number) for number in range(torch.cuda.device_count())] if spread else [where]
    nvml = Nvml(str(torch.cuda.get_device_properties(where).uuid))
    return Meters(
        memory=CudaMemory(used, resident, (lambda: None) if spread else nvml.process_mib),
        accelerator=accelerator_slug(device),
        device_name=torch.cuda.get_device_name(where),
        synchronise=lambda: _wait_for(used),
        health=nvml.health,
        neighbours=Neighbours(),
        foreign=Foreign(nvml.device, lambda: torch.cuda.memory_reserved(where) / MIB),
        devices=_devices(nvml.device.uuid),
        notes=(*notes, *nvml.notes, *([_SUMMED] if spread else [])),
    )


def _wait_for(devices: Sequence[Any]) -> None:
    import torch

    for one in devices:
        torch.cuda.synchronize(one)


def _devices(first: str) -> tuple[str, ...]:
    """UUIDs of that device and of every other one that torch holds memory of."""
    import torch

    held = [number for number in range(torch.cuda.device_count()) if torch.cuda.memory_reserved(number)]
    return tuple(dict.fromkeys([first, *(Device(str(torch.cuda.get_device_properties(number).uuid)).uuid for number in held)]))


class Nvml:
    """The health of one device as NVML sees it; `notes` says what cannot be read and why."""

    def __init__(self, uuid: str) -> None:
        self.device = Device(uuid)
        self.notes: tuple[str, ...] = ()
        if self.device.why:
            self.notes = (f"device health: {self.device.why}",)
            return
        if self.device.mig:
            self.notes += ("device health: clocks, temperature, power and throttling are not told of a MIG instance",)
        if self.device.process_mib() is None:
            self.notes += ("process memory: NVML does not list this process (another process namespace?)",)

    def health(self) -> DeviceHealth:
        """Clocks, temperature, power and throttle reasons now; None for what NVML does not give."""
        device, nvml = self.device, self.device.library
        if device.handle is None:
            return DeviceHealth()
        power = device.figure("nvmlDeviceGetPowerUsage")
        return DeviceHealth(
            sm_clock=device.figure("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            memory_clock=device.figure("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
            temperature=device.figure("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
            power=None if power is None else power / 1000,
            throttle=self._throttle(),
        )

    def process_mib(self) -> float | None:
        """MiB of this process on the device; None when NVML does not show them."""
        return self.device.process_mib()

    def _throttle(self) -> tuple[str, ...]:
        for name in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
            bits = self.device.figure(name)
            if bits is not None:
                return tuple(reason for bit, reason in THROTTLE.items() if int(bits) & bit)
        return ()
