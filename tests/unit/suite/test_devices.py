"""Which GPUs a run may use, by a module that stands for pynvml."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from swapgate.errors import UserError
from swapgate.suite.devices import Device, find, free_bytes, visible

H200 = "NVIDIA H200"


class NVMLError(Exception):
    """As in pynvml."""


class Nvml:
    """The calls that are used; `divided`: instances by the number of their device."""

    NVMLError = NVMLError
    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(self, names: list[str], divided: Mapping[int, int]) -> None:
        self.names, self.divided, self.open = names, divided, 0

    def nvmlInit(self) -> None:  # noqa: N802 - pynvml's names
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.names)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        return f"GPU-{index}"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid not in {f"GPU-{index}" for index in range(len(self.names))}:
            raise NVMLError
        return uuid

    def nvmlDeviceGetUUID(self, handle: str) -> bytes:  # noqa: N802 - older versions give bytes
        return handle.encode()

    def nvmlDeviceGetName(self, handle: str) -> str:  # noqa: N802
        return "an instance" if handle.startswith("MIG") else self.names[int(handle[4:])]

    def nvmlDeviceGetMigMode(self, handle: str) -> tuple[int, int]:  # noqa: N802
        if not self.divided:
            raise NVMLError
        return (int(int(handle[4:]) in self.divided), 0)

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: str) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: str, number: int) -> str:  # noqa: N802
        if number >= self.divided[int(handle[4:])]:
            raise NVMLError
        return f"MIG-{handle[4:]}-{number}"

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:  # noqa: N802
        return SimpleNamespace(free=1000 + int(handle[4:]))


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives the machine its devices; whatever was opened is closed in the end."""
    made: list[Nvml] = []

    def machine(*names: str, divided: Mapping[int, int] | None = None) -> None:
        made.append(Nvml(list(names), divided or {}))
        monkeypatch.setitem(sys.modules, "pynvml", made[-1])

    yield machine
    assert all(one.open == 0 for one in made)


def uuids(devices: tuple[Device, ...]) -> list[str]:
    return [device.uuid for device in devices]


def test_all_devices_by_uuid_and_name(nvml: Any) -> None:
    """Bytes of older versions of the library are text."""
    nvml(H200, H200)
    assert find("all", {}) == (Device(uuid="GPU-0", name=H200), Device(uuid="GPU-1", name=H200))


def test_numbers_choose_in_the_order_in_which_they_are_written(nvml: Any) -> None:
    nvml(H200, H200, H200)
    assert uuids(find("2, 0", {})) == ["GPU-2", "GPU-0"]


@pytest.mark.parametrize("asked", ["3", "0,0", "-1", "", "0,", "one", "GPU-0"])
def test_what_is_no_number_of_a_device_is_refused_with_those_that_there_are(nvml: Any, asked: str) -> None:
    nvml(H200, H200, H200)
    with pytest.raises(UserError, match="0, 1, 2") as found:
        find(asked, {})
    assert "--gpus=0,1,2" in found.value.remedy


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("1,2", ["GPU-1", "GPU-2"]),
        ("2,0", ["GPU-2", "GPU-0"]),
        ("GPU-1", ["GPU-1"]),
        ("GPU-2,1", ["GPU-2", "GPU-1"]),
        ("1,-1,2", ["GPU-1"]),
        ("0,7,1", ["GPU-0"]),
        ("GPU-,0", []),
        ("", []),
    ],
)
def test_cuda_visible_devices_of_the_suite_holds(nvml: Any, given: str, left: list[str]) -> None:
    """Numbers and UUIDs, in its order; the first that means nothing (or several things) ends the list, as CUDA reads it."""
    nvml(H200, H200, H200)
    assert uuids(visible({"CUDA_VISIBLE_DEVICES": given})) == left


def test_numbers_count_among_the_devices_that_are_left(nvml: Any) -> None:
    nvml(H200, H200, H200)
    assert uuids(find("0", {"CUDA_VISIBLE_DEVICES": "2,1"})) == ["GPU-2"]


def test_numbers_of_devices_of_several_kinds_need_an_order(nvml: Any) -> None:
    """CUDA counts the fastest first and NVML does not: a number may mean another device to each."""
    nvml(H200, "NVIDIA L4")
    with pytest.raises(UserError, match="one kind"):
        visible({"CUDA_VISIBLE_DEVICES": "1"})
    assert uuids(visible({"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"})) == ["GPU-1"]
    assert uuids(visible({"CUDA_VISIBLE_DEVICES": "GPU-1"})) == ["GPU-1"]


def test_instances_of_a_divided_device_take_its_place(nvml: Any) -> None:
    """A process is given one of them; they are named by UUID too."""
    nvml(H200, H200, divided={1: 2})
    assert uuids(visible({})) == ["GPU-0", "MIG-1-0", "MIG-1-1"]
    assert uuids(visible({"CUDA_VISIBLE_DEVICES": "MIG-1-1"})) == ["MIG-1-1"]


def test_without_a_driver_there_is_nothing_to_spread_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said as a mistake of the option, before anything is loaded."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert visible({}) == ()
    with pytest.raises(UserError, match="at least one NVIDIA device"):
        find("all", {})


def test_free_memory_is_that_of_the_given_devices_or_of_the_first_visible_one(nvml: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(H200, H200, H200)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    assert free_bytes(()) == 1002
    assert free_bytes([Device(uuid="GPU-0", name=H200), Device(uuid="GPU-1", name=H200)]) == 2001
    assert free_bytes([Device(uuid="GPU-gone", name=H200)]) is None
