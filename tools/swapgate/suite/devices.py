"""The GPUs that a run may spread its models over: `--gpus=all` or `--gpus=0,2`.

They are found through NVML, so that the suite's own process loads no torch, and named by UUID: NVML numbers devices by their bus and CUDA
may number them otherwise. CUDA_VISIBLE_DEVICES of the suite holds: numbers count among the devices that it leaves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from swapgate.errors import UserError

ALL = "all"
VISIBLE = "CUDA_VISIBLE_DEVICES"
_ORDER = "CUDA_DEVICE_ORDER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A GPU, or an instance of one (MIG): its UUID as CUDA_VISIBLE_DEVICES takes it, and its name."""

    uuid: str
    name: str


def find(asked: str, environ: Mapping[str, str] = os.environ) -> tuple[Device, ...]:
    """The devices that --gpus names, in its order; all that are visible for "all". UserError where there are none, or fewer than it names."""
    seen = visible(environ)
    if not seen:
        raise _wrong(asked, "at least one NVIDIA device that the driver shows and CUDA_VISIBLE_DEVICES leaves", "leave the option out")
    if asked == ALL:
        return seen
    words = [word.strip() for word in asked.split(",")]
    known = [str(number) for number in range(len(seen))]
    if any(word not in known for word in words) or len(set(words)) < len(words):
        raise _wrong(asked, f"all, or different numbers of {', '.join(known)}", f"write --gpus={','.join(known)}, or --gpus=all")
    return tuple(seen[int(word)] for word in words)


def visible(environ: Mapping[str, str] = os.environ) -> tuple[Device, ...]:
    """The devices that a process with this environment may use, in CUDA's order; () where there is no driver."""
    with _nvml() as nvml:
        if nvml is None:
            return ()
        given = environ.get(VISIBLE)
        every = [_instances(nvml, nvml.nvmlDeviceGetHandleByIndex(index)) for index in range(nvml.nvmlDeviceGetCount())]
        if given is None:
            return tuple(one for instances in every for one in instances)
        return tuple(_named(given, every, pci=environ.get(_ORDER) == "PCI_BUS_ID"))


def free_bytes(devices: Sequence[Device]) -> int | None:
    """Bytes that are free on these devices together, or on the first visible one where none is given; None where NVML shows none."""
    with _nvml() as nvml:
        asked = devices or visible()[:1]
        if nvml is None or not asked:
            return None
        try:
            return sum(int(nvml.nvmlDeviceGetMemoryInfo(nvml.nvmlDeviceGetHandleByUUID(one.uuid)).free) for one in asked)
        except nvml.NVMLError:
            return None


@contextmanager
def _nvml() -> Iterator[Any]:
    """The module `pynvml`, initialised; None where there is no driver, no GPU or no library."""
    try:
        nvml = import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # each of them means the same: there is no device to be found
        yield None
        return
    try:
        yield nvml
    finally:
        nvml.nvmlShutdown()


def _instances(nvml: Any, handle: Any) -> list[Device]:
    """The device itself, or its instances where it is divided: a process is given one of those."""
    try:
        divided = nvml.nvmlDeviceGetMigMode(handle)[0] == nvml.NVML_DEVICE_MIG_ENABLE
        count = nvml.nvmlDeviceGetMaxMigDeviceCount(handle) if divided else 0
    except (nvml.NVMLError, AttributeError):  # a device, or a driver, that knows nothing of instances
        divided, count = False, 0
    if not divided:
        return [_device(nvml, handle)]
    found = []
    for number in range(count):
        try:
            found.append(_device(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)))
        except nvml.NVMLError:
            continue
    return found


def _device(nvml: Any, handle: Any) -> Device:
    return Device(uuid=_text(nvml.nvmlDeviceGetUUID(handle)), name=_text(nvml.nvmlDeviceGetName(handle)))


def _named(given: str, every: Sequence[Sequence[Device]], *, pci: bool) -> Iterator[Device]:
    """The devices that a value of CUDA_VISIBLE_DEVICES names. As CUDA does, the first name that means nothing ends the list."""
    kinds = {one.name for instances in every for one in instances}
    for word in (word.strip() for word in given.split(",")):
        if word.isdecimal():
            if len(kinds) > 1 and not pci:
                rule = "numbers say which device is meant only where all are of one kind: CUDA counts the fastest first, NVML by the bus"
                raise UserError(where=VISIBLE, value=given, rule=rule, remedy=f"set {_ORDER}=PCI_BUS_ID, or name UUIDs (nvidia-smi -L)")
            found = every[int(word)][:1] if int(word) < len(every) else []
        else:
            found = [one for instances in every for one in instances if word and one.uuid.startswith(word)]
        if len(found) != 1:
            return
        yield found[0]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _wrong(asked: str, rule: str, remedy: str) -> UserError:
    return UserError(where="--gpus", value=asked, rule=rule, remedy=remedy)
