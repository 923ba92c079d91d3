"""A stand-in for NVML with processes, memory and MIG instances; a real device is the integration tests' matter."""

# ruff: noqa: N802, N815 - the fake carries the library's own names
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from swapgate.meters import nvml

MIB = 1024 * 1024


@dataclass
class Entry:
    """A process as NVML lists it."""

    pid: int
    usedGpuMemory: int | None


@dataclass
class Used:
    """What nvmlDeviceGetMemoryInfo gives; reserved only by its second version."""

    used: int
    reserved: int = 0


class NvmlError(Exception):
    """What the library raises."""


@dataclass
class Gpu:
    """A device: MiB in use by processes, MiB that the driver reserves, processes by kind as {pid: MiB}, its MIG instances."""

    uuid: str
    used: float = 0.0
    reserved: float = 600.0
    compute: dict[int, float | None] = field(default_factory=dict)
    graphics: dict[int, float | None] = field(default_factory=dict)
    instances: list[Gpu] = field(default_factory=list)

    @property
    def mig(self) -> bool:
        return self.uuid.startswith("MIG-")


class Library:
    """The part of pynvml that is used; handles are the devices themselves."""

    NVMLError = NvmlError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    nvmlMemory_v2 = 2

    def __init__(self, *gpus: Gpu, names: Mapping[int, str] | None = None, old: bool = False, no_lists: bool = False) -> None:
        self.gpus, self.names, self.old, self.no_lists = list(gpus), dict(names or {}), old, no_lists

    def nvmlInit(self) -> None:
        if not self.gpus:
            raise NvmlError("driver not loaded")

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Gpu:
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Gpu:
        for gpu in (*self.gpus, *(part for whole in self.gpus for part in whole.instances)):
            if gpu.uuid == uuid:
                return gpu
        raise NvmlError("not found")

    def nvmlDeviceGetUUID(self, gpu: Gpu) -> str:
        return gpu.uuid

    def nvmlDeviceGetMigMode(self, gpu: Gpu) -> list[int]:
        if gpu.mig:
            raise NvmlError("not supported")
        return [int(bool(gpu.instances)), 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: Gpu) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: Gpu, index: int) -> Gpu:
        if index >= len(gpu.instances):
            raise NvmlError("not found")
        return gpu.instances[index]

    def nvmlDeviceGetMemoryInfo(self, gpu: Gpu, version: int | None = None) -> Used:
        if version and self.old:
            raise NvmlError("function not found")
        return Used(int(gpu.used * MIB), int(gpu.reserved * MIB)) if version else Used(int((gpu.used + gpu.reserved) * MIB))

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: Gpu) -> list[Entry]:
        return self._entries(gpu.compute)

    def nvmlDeviceGetGraphicsRunningProcesses(self, gpu: Gpu) -> list[Entry]:
        return self._entries(gpu.graphics)

    def nvmlSystemGetProcessName(self, pid: int) -> str:
        if pid not in self.names:
            raise NvmlError("not found")
        return self.names[pid]

    def nvmlDeviceGetPowerUsage(self, gpu: Gpu) -> int:
        if gpu.mig:
            raise NvmlError("not supported")
        return 100_000

    def _entries(self, held: Mapping[int, float | None]) -> list[Entry]:
        if self.no_lists:
            raise NvmlError("no permission")
        return [Entry(pid, None if mib is None else int(mib * MIB)) for pid, mib in held.items()]


@pytest.fixture
def gpu_of() -> type[Gpu]:
    """Makes devices."""
    return Gpu


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Puts a library with these devices in the place of pynvml."""

    def install(*gpus: Gpu, **given: Any) -> Library:
        made = Library(*gpus, **given)
        monkeypatch.setattr(nvml, "import_module", lambda name: made)
        return made

    return install


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without pynvml."""

    def missing(name: str) -> Sequence[Any]:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(nvml, "import_module", missing)
