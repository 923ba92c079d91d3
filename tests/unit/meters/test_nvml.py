"""Devices by UUID, under CUDA_VISIBLE_DEVICES, divided (MIG), and where NVML is absent."""

from __future__ import annotations

import os
from typing import Any

import pytest

from swapgate.meters.gpu import Nvml
from swapgate.meters.nvml import Device, used_by_uuid
from swapgate.runs.records import DeviceHealth

HEX, OTHER = "12345678-90ab-cdef-1234-567890abcdef", "00000000-90ab-cdef-1234-567890abcdef"
WHOLE, PART, SECOND = f"GPU-{HEX}", f"MIG-{OTHER}", "MIG-11111111-90ab-cdef-1234-567890abcdef"


@pytest.mark.parametrize("visible", ["", "0", "1,0", f"GPU-{OTHER},{WHOLE}", "GPU-0000"])
def test_the_order_of_visible_devices_changes_nothing(library: Any, gpu_of: Any, visible: str) -> None:
    """CUDA's device 0 may be NVML's device 1: only the UUID says which it is."""
    library(gpu_of(f"GPU-{OTHER}", used=1.0), gpu_of(WHOLE, used=77.0))
    found = Device(HEX, visible=visible)
    assert (found.uuid, found.used_mib(), found.mig) == (WHOLE, 77.0, False)


def test_the_variable_of_this_process_is_read(library: Any, gpu_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none is given."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", PART)
    library(gpu_of(WHOLE, instances=[gpu_of(PART, used=5.0)]))
    assert Device(HEX).uuid == PART


@pytest.mark.parametrize(("told", "visible"), [(OTHER, ""), (PART, ""), (HEX, PART), (HEX, f" {PART},{SECOND}")])
def test_an_instance_is_found_however_it_is_written(library: Any, gpu_of: Any, told: str, visible: str) -> None:
    """By its own digits, with its prefix, or by those of the whole GPU together with what CUDA may see."""
    library(gpu_of(WHOLE, used=900.0, instances=[gpu_of(SECOND, used=6.0), gpu_of(PART, used=5.0)]))
    found = Device(told, visible=visible)
    assert (found.uuid, found.used_mib(), found.mig) == (PART, 5.0, True)


def test_of_a_divided_gpu_the_instance_is_taken_that_lists_this_process(library: Any, gpu_of: Any) -> None:
    """Where CUDA gives the digits of the whole and the variable a number."""
    library(gpu_of(WHOLE, instances=[gpu_of(SECOND), gpu_of(PART, compute={os.getpid(): 3.0})]))
    assert Device(HEX, visible="0").uuid == PART
    library(gpu_of(WHOLE, instances=[gpu_of(SECOND)]))
    assert Device(HEX, visible="0").uuid == SECOND, "the only one there is"


def test_what_an_instance_does_not_tell_is_none_with_a_note(library: Any, gpu_of: Any) -> None:
    """Memory and processes are its own."""
    library(gpu_of(WHOLE, instances=[gpu_of(PART, compute={os.getpid(): 3.0})]))
    found = Nvml(PART)
    assert found.health() == DeviceHealth()
    assert found.process_mib() == 3.0
    assert found.notes == ("device health: clocks, temperature, power and throttling are not told of a MIG instance",)


@pytest.mark.parametrize(("old", "mib", "reserved"), [(False, 77.0, 600.0), (True, 677.0, None)])
def test_the_drivers_own_reserve_is_left_out_where_it_is_told_apart(library: Any, gpu_of: Any, old: bool, mib: float, reserved: float | None) -> None:
    """Drivers before 510 count it in."""
    library(gpu_of(WHOLE, used=77.0), old=old)
    found = Device(HEX, visible="")
    assert (found.used_mib(), found.reserved_mib()) == (mib, reserved)


def test_processes_of_all_kinds_are_listed_once(library: Any, gpu_of: Any) -> None:
    """With the most that any list gives; None where none gives it."""
    library(gpu_of(WHOLE, compute={1: 5.0, 2: None, 3: 8.0}, graphics={3: 9.0, 4: 1.0, 2: None}))
    assert Device(HEX, visible="").processes() == {1: 5.0, 2: None, 3: 9.0, 4: 1.0}


def test_lists_that_may_not_be_read_are_none(library: Any, gpu_of: Any) -> None:
    """Which is not the same as an empty one."""
    library(gpu_of(WHOLE), no_lists=True)
    found = Device(HEX, visible="")
    assert found.processes() is None
    assert found.process_mib() is None


@pytest.mark.parametrize(
    ("pid", "name"), [(5, "python3.12 (5)"), (6, "process 6"), (os.getpid(), None)], ids=["by its path", "unknown", "by the system"]
)
def test_processes_are_named(library: Any, gpu_of: Any, pid: int, name: str | None) -> None:
    """By NVML, else by the system, else by number."""
    library(gpu_of(WHOLE), names={5: "/usr/bin/python3.12 train.py"})
    said = Device(HEX, visible="").name_of(pid if pid != 6 else 2**22 + 1)
    if name is None:
        assert said.endswith(f" ({pid})")
        assert not said.startswith("process")
    else:
        assert said == name.replace(" 6", f" {2**22 + 1}")


def test_every_device_and_instance_has_its_level(library: Any, gpu_of: Any) -> None:
    """Of a divided GPU the whole, too: CUDA may name either."""
    library(gpu_of(WHOLE, used=9.0, instances=[gpu_of(PART, used=5.0)]), gpu_of(f"GPU-{OTHER}", used=1.0))
    levels, why = used_by_uuid()
    assert dict(levels) == {WHOLE: 9.0, PART: 5.0, f"GPU-{OTHER}": 1.0}
    assert why == ""


def test_without_a_driver_there_is_a_named_reason(library: Any) -> None:
    """And a device that answers nothing."""
    library()
    found = Device(HEX, visible="")
    assert found.why == "NVML cannot be used (NvmlError: driver not loaded)"
    assert (found.used_mib(), found.processes(), found.process_mib(), found.figure("nvmlDeviceGetPowerUsage")) == (None, None, None, None)
    assert found.uuid == WHOLE
    assert used_by_uuid() == ({}, found.why)


@pytest.mark.usefixtures("absent")
def test_without_the_module_there_is_a_named_reason() -> None:
    """Nothing depends on it."""
    assert Nvml(HEX).notes == ("device health: NVML cannot be used (ModuleNotFoundError: No module named 'pynvml')",)
    assert used_by_uuid()[1].startswith("NVML cannot be used (ModuleNotFoundError")
