"""Device health through a stand-in for NVML; a real device is the integration tests' matter."""

# ruff: noqa: N802, N815 - the fake carries the library's own names
from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from swapgate.meters import nvml
from swapgate.meters.gpu import Nvml, accelerator_slug, meters_for, slug
from swapgate.meters.memory import MIB
from swapgate.runs.records import DeviceHealth

UUID = "12345678-90ab-cdef-1234-567890abcdef"


@dataclass
class Entry:
    """A process as NVML lists it."""

    pid: int
    usedGpuMemory: int | None


class NvmlError(Exception):
    """What the library raises."""


class FakeNvml:
    """The part of pynvml that is used."""

    NVMLError = NvmlError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, processes: Sequence[Entry] = (), reasons: int = 0, missing: Sequence[str] = (), failing: Sequence[str] = ()) -> None:
        self._processes, self._reasons = list(processes), reasons
        self._missing, self._failing = missing, failing
        self.asked: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            return super().__getattribute__(name)
        if name in self._missing:
            raise AttributeError(name)
        if name in self._failing:
            return self._fail
        return super().__getattribute__(name)

    def _fail(self, *args: Any) -> Any:
        raise NvmlError("not supported")

    def nvmlInit(self) -> None:
        """Nothing to do."""

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self.asked.append(uuid)
        return "handle"

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:
        return {1: 1980, 2: 3201}[kind]

    def nvmlDeviceGetTemperature(self, handle: str, kind: int) -> int:
        return 41

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        return 123_400

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:
        return self._reasons

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:
        return self._reasons

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Entry]:
        return self._processes


def device(monkeypatch: pytest.MonkeyPatch, fake: FakeNvml, uuid: str = UUID) -> Nvml:
    """A device behind that library."""
    monkeypatch.setattr(nvml, "import_module", lambda name: fake)
    return Nvml(uuid)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA H200", "nvidia-h200"),
        ("NVIDIA A100-SXM4-80GB", "nvidia-a100-sxm4-80gb"),
        ("NVIDIA GeForce RTX 4090", "nvidia-geforce-rtx-4090"),
        ("Intel(R) Xeon(R) Platinum 8480+", "intel-xeon-platinum-8480"),
        ("AMD EPYC", "amd-epyc"),
        ("  ", ""),
    ],
)
def test_a_slug_is_lower_case_words(name: str, expected: str) -> None:
    """Marks of the trade are left out."""
    assert slug(name) == expected


def test_a_processor_is_a_kind_of_cpu() -> None:
    """Cards name ceilings for "cpu", and every processor's slug begins so."""
    assert accelerator_slug("cpu").startswith("cpu")
    assert accelerator_slug("cpu") == slug(accelerator_slug("cpu"))


def test_health_is_read_of_the_device_with_that_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units are MHz, °C and W."""
    fake = FakeNvml([Entry(os.getpid(), 5 * MIB)])
    found = device(monkeypatch, fake).health()
    assert fake.asked == [f"GPU-{UUID}"]
    assert found == DeviceHealth(sm_clock=1980, memory_clock=3201, temperature=41, power=123.4, throttle=())


@pytest.mark.parametrize("uuid", [f"GPU-{UUID}", f"MIG-{UUID}"])
def test_a_uuid_with_its_prefix_is_taken_as_it_is(uuid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions of torch differ in whether they write it."""
    fake = FakeNvml()
    device(monkeypatch, fake, uuid)
    assert fake.asked == [uuid]


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        (0x1, ()),
        (0x4, ("software-power-cap",)),
        (0x21, ("software-thermal",)),
        (0xC8, ("hardware-slowdown", "hardware-thermal", "hardware-power-brake")),
    ],
)
@pytest.mark.parametrize("missing", [(), ("nvmlDeviceGetCurrentClocksEventReasons",)])
def test_throttling_is_named_and_idling_is_not_throttling(
    bits: int, reasons: tuple[str, ...], missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the new name of the function and by the old one."""
    assert device(monkeypatch, FakeNvml(reasons=bits, missing=missing)).health().throttle == reasons


def test_what_a_device_does_not_give_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some cards have no power meter."""
    found = device(monkeypatch, FakeNvml(failing=("nvmlDeviceGetPowerUsage", "nvmlDeviceGetCurrentClocksEventReasons"))).health()
    assert found.power is None
    assert found.sm_clock == 1980


class TestProcessMemory:
    """MiB of this process."""

    def test_it_is_found_by_its_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Other processes on the device do not count."""
        nvml = device(monkeypatch, FakeNvml([Entry(1, 900 * MIB), Entry(os.getpid(), 37 * MIB)]))
        assert nvml.process_mib() == 37
        assert nvml.notes == ()

    def test_the_only_process_is_this_one_in_a_container(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """NVML then lists numbers of the host."""
        assert device(monkeypatch, FakeNvml([Entry(999_999_999, 37 * MIB)])).process_mib() == 37

    @pytest.mark.parametrize(
        "fake",
        [
            FakeNvml(),
            FakeNvml([Entry(999_999_998, MIB), Entry(999_999_999, MIB)]),
            FakeNvml([Entry(os.getpid(), None)]),
            FakeNvml(failing=("nvmlDeviceGetComputeRunningProcesses",)),
        ],
    )
    def test_what_cannot_be_told_is_none_with_a_note(self, fake: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
        """A guess between two strangers would be wrong half of the time."""
        nvml = device(monkeypatch, fake)
        assert nvml.process_mib() is None
        assert "does not list this process" in nvml.notes[0]


@pytest.mark.parametrize("failing", ["nvmlInit", "nvmlDeviceGetHandleByUUID"])
def test_without_a_driver_there_is_a_note_and_no_error(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run goes on without these figures."""
    nvml = device(monkeypatch, FakeNvml(failing=(failing,)))
    assert nvml.health() == DeviceHealth()
    assert nvml.process_mib() is None
    assert "NVML cannot be used (NvmlError: not supported)" in nvml.notes[0]


def test_meters_of_a_cpu_are_whole() -> None:
    """Memory is resident memory, health is empty, nothing needs waiting for."""
    meters = meters_for("cpu")
    meters.memory.begin()
    assert meters.memory.end().resident > 1
    assert meters.health() == DeviceHealth()
    assert meters.accelerator.startswith("cpu")
    meters.synchronise()
    assert meters.now() <= meters.now()
