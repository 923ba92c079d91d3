"""NVML as this package asks it: by UUID, never by index, and without an error: what cannot be read is None.

NVML numbers devices its own way (CUDA_VISIBLE_DEVICES, another order), so a device is found by the UUID that CUDA gives. A MIG
instance has a UUID of its own ("MIG-..."), of which only memory and processes can be asked; clocks, temperature and power belong to the whole GPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from swapgate.meters.memory import MIB

_LISTS = ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetGraphicsRunningProcesses", "nvmlDeviceGetMPSComputeRunningProcesses")
_MPS_SERVER = "nvidia-cuda-mps-server"  # stands between its clients and the device, and does no work of its own


class Device:
    """One device as NVML sees it. `uuid` is NVML's own ("GPU-..." or "MIG-..."), `why` says why nothing can be asked ("" where it can).

    Args:
        uuid: as CUDA gives it, with or without its prefix.
        visible: CUDA_VISIBLE_DEVICES; None reads this process's.
        exact: it is NVML's own, and no instance of that GPU is meant.
    """

    def __init__(self, uuid: str, visible: str | None = None, *, exact: bool = False) -> None:
        self.uuid, self.why, self.handle = uuid if _prefixed(uuid) else f"GPU-{uuid}", "", None
        self.library: Any = None
        try:
            self.library = import_module("pynvml")
            self.library.nvmlInit()
            seen = os.environ.get("CUDA_VISIBLE_DEVICES", "") if visible is None else visible
            self.handle = self.library.nvmlDeviceGetHandleByUUID(uuid) if exact else self._found(uuid, seen)
            self.uuid = self._text("nvmlDeviceGetUUID", self.handle) or self.uuid
        except Exception as error:  # no module, no driver, no such device: a run without these figures is still a run
            self.why, self.handle = f"NVML cannot be used ({type(error).__name__}: {error})", None

    @property
    def mig(self) -> bool:
        """Whether this is an instance of a divided GPU."""
        return self.uuid.startswith("MIG-")

    def figure(self, name: str, *args: Any) -> float | None:
        """What that function of NVML gives for the device; None where it is missing or not supported."""
        function = getattr(self.library, name, None) if self.handle is not None else None
        if function is None:
            return None
        try:
            return float(function(self.handle, *args))
        except self.library.NVMLError:
            return None

    def used_mib(self) -> float | None:
        """MiB in use by processes, the driver's own reserve left out where NVML tells it apart (driver 510 and later)."""
        told = self._memory(apart=True) or self._memory(apart=False)
        return None if told is None else float(told.used) / MIB

    def reserved_mib(self) -> float | None:
        """MiB that the driver keeps for itself; None where NVML does not tell them apart."""
        told = self._memory(apart=True)
        return None if told is None else float(told.reserved) / MIB

    def _memory(self, *, apart: bool) -> Any:
        """NVML's figures of memory, None where it gives none; apart: with the driver's reserve, which not every version knows."""
        if self.handle is None or (apart and not hasattr(self.library, "nvmlMemory_v2")):
            return None
        try:
            return self.library.nvmlDeviceGetMemoryInfo(self.handle, *([self.library.nvmlMemory_v2] if apart else []))
        except self.library.NVMLError:
            return None

    def processes(self) -> dict[int, float | None] | None:
        """MiB by process number, of compute, graphics and MPS processes; None where NVML does not list them.

        In a container the list may be empty, or in numbers of the host.
        """
        found: dict[int, float | None] = {}
        listed = [self._listed(name) for name in _LISTS]
        if listed[0] is None:
            return None
        for entry in (entry for some in listed for entry in some or ()):
            held = None if entry.usedGpuMemory is None else entry.usedGpuMemory / MIB
            found[entry.pid] = max(filter(None, (found.get(entry.pid), held)), default=None)
        return found

    def process_mib(self) -> float | None:
        """MiB of this process on the device; None when NVML does not show them.

        In a container NVML may list processes under numbers of the host; the only one listed is then taken to be this.
        """
        listed = self._listed(_LISTS[0]) or []
        mine = [entry for entry in listed if entry.pid == os.getpid()] or (listed if len(listed) == 1 else [])
        used = mine[0].usedGpuMemory if mine else None
        return None if used is None else float(used) / MIB

    def name_of(self, pid: int) -> str:
        """What to call a process: "python3 (4242)"."""
        said = self._text("nvmlSystemGetProcessName", pid) or _psutil_name(pid)
        words = said.split()
        return f"{os.path.basename(words[0])} ({pid})" if words else f"process {pid}"

    def _listed(self, name: str) -> list[Any] | None:
        function = getattr(self.library, name, None) if self.handle is not None else None
        try:
            return None if function is None else list(function(self.handle))
        except (self.library.NVMLError, AttributeError):
            return None

    def _text(self, name: str, argument: Any) -> str:
        function = getattr(self.library, name, None)
        try:
            said = function(argument) if function else ""
        except (self.library.NVMLError, UnicodeDecodeError):
            return ""
        return said.decode(errors="replace") if isinstance(said, bytes) else str(said)

    def _found(self, uuid: str, visible: str) -> Any:
        """The handle of the first of the UUID's possible writings that NVML knows.

        CUDA gives bare hex digits, and for a MIG instance those of the whole GPU in some versions: where CUDA_VISIBLE_DEVICES names an
        instance, CUDA shows no other device, so it is that one.
        """
        named = visible.split(",", maxsplit=1)[0].strip()
        written = [named] if named.startswith("MIG-") else []
        written += [uuid] if _prefixed(uuid) else [f"GPU-{uuid}", f"MIG-{uuid}"]
        *others, last = written
        for one in others:
            try:
                return self._instance(self.library.nvmlDeviceGetHandleByUUID(one))
            except self.library.NVMLError:
                continue
        return self._instance(self.library.nvmlDeviceGetHandleByUUID(last))

    def _instance(self, handle: Any) -> Any:
        """The handle itself; of a divided GPU the instance that this process computes on, where NVML shows which."""
        parts = list(_instances(self.library, handle))
        mine = [one for one in parts if any(entry.pid == os.getpid() for entry in self.library.nvmlDeviceGetComputeRunningProcesses(one))]
        return mine[0] if mine else parts[0] if len(parts) == 1 else handle


def is_mps_server(name: str) -> bool:
    """Whether a process named by `Device.name_of` is the server of the Multi-Process Service."""
    return name.startswith(_MPS_SERVER)


def used_by_uuid() -> tuple[Mapping[str, float], str]:
    """MiB in use on every device and MIG instance of the machine, by UUID; and why it cannot be told, "" where it can."""
    try:
        library: Any = import_module("pynvml")
        library.nvmlInit()
        uuids = [str(library.nvmlDeviceGetUUID(handle)) for handle in _handles(library)]
    except Exception as error:  # no module, no driver, no permission
        return {}, f"NVML cannot be used ({type(error).__name__}: {error})"
    found = {uuid: Device(uuid, exact=True).used_mib() for uuid in uuids}
    return {uuid: used for uuid, used in found.items() if used is not None}, ""


def _handles(library: Any) -> Iterator[Any]:
    for index in range(library.nvmlDeviceGetCount()):
        whole = library.nvmlDeviceGetHandleByIndex(index)
        yield whole
        yield from _instances(library, whole)


def _instances(library: Any, whole: Any) -> Iterator[Any]:
    """The MIG instances of a GPU that is divided now; none of one that is not, or that is an instance itself."""
    try:
        divided, _ = library.nvmlDeviceGetMigMode(whole)
        most = library.nvmlDeviceGetMaxMigDeviceCount(whole) if divided else 0
    except (library.NVMLError, AttributeError):
        return
    for number in range(most):
        try:
            yield library.nvmlDeviceGetMigDeviceHandleByIndex(whole, number)
        except library.NVMLError:  # fewer instances were made than there could be
            continue


def _prefixed(uuid: str) -> bool:
    return uuid.startswith(("GPU-", "MIG-"))


def _psutil_name(pid: int) -> str:
    import psutil

    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return ""
