"""What a call on a server is measured with: the server's process where it is on this machine, its own figures where it is not.

Device memory is what torch has in use there, which /system_stats tells of one moment, so it is asked while a call runs and a peak between
two answers is not seen. On the same machine NVML tells the memory of the server's process, and the kernel its resident size.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from swapgate.cards import SERVER
from swapgate.engines.comfyui.server import Server
from swapgate.engines.servers.failed import ServerFailed
from swapgate.meters.foreign import Seen
from swapgate.meters.gpu import Nvml, accelerator_slug, slug
from swapgate.meters.kinds import Meters, Unmeasured, nothing
from swapgate.meters.memory import MIB, high_water_works
from swapgate.meters.nvml import Device, used_by_uuid
from swapgate.meters.server import listening
from swapgate.runs.environment import cpu_model
from swapgate.runs.records import DeviceHealth, Memory

TURN_SECONDS = 0.02
STATS_SECONDS = 0.5
SETTLE_SECONDS = 1.0  # for a prompt that is done to leave the queue
OTHERS = "prompts of others in the server's queue"
_NAME = re.compile(r"^\w+:\d+ (.*?)(?: : \w+)?$")
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What /system_stats tells of its first device, in MiB: held by torch, and of that in use."""

    cuda: bool
    device_name: str
    reserved: float
    active: float


def figures(stats: Mapping[str, Any]) -> Figures:
    """The figures of a reply; ServerFailed where it has none."""
    try:
        device = stats["devices"][0]
        held = float(device["torch_vram_total"])
        return Figures(
            cuda=device["type"] == "cuda",
            device_name=str(device["name"]),
            reserved=held / MIB,
            active=(held - float(device["torch_vram_free"])) / MIB,
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ServerFailed("bad-reply", f"system_stats: no figures of memory ({type(error).__name__}: {error})") from None


def process_of(server: Server) -> tuple[int | None, str]:
    """The process that listens on a server's port on this machine, and why there is none, "" where there is."""
    if not server.address.loopback:
        return None, f"the server is on another machine ({server.address.host})"
    found = listening(server.address.port)
    return (found[0], "") if found else (None, f"no process of this user's view listens at port {server.address.port} of this machine (a container?)")


class ServerProcess:
    """Resident memory of another process of this machine, in MiB: the kernel's mark where it can be reset, else looked at in turns."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak = pid, 0.0
        self.exact = high_water_works() and self._reset()

    def reset(self) -> None:
        """Begin anew."""
        self._peak = self.now()
        if self.exact:
            self._reset()

    def look(self) -> None:
        """One turn."""
        self._peak = max(self._peak, self.now())

    def peak(self) -> float:
        """The most since `reset`."""
        self.look()
        return max(self._peak, self._mark() if self.exact else 0.0)

    def now(self) -> float:
        """Its resident size; 0 when it has ended."""
        try:
            with open(f"/proc/{self._pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * _PAGE / MIB
        except (OSError, IndexError, ValueError):
            return 0.0

    def _reset(self) -> bool:
        try:
            with open(f"/proc/{self._pid}/clear_refs", "w", encoding="ascii") as file:
                file.write("5")
        except OSError:
            return False
        return True

    def _mark(self) -> float:
        try:
            with open(f"/proc/{self._pid}/status", encoding="ascii") as file:
                return next((int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM:")), 0.0)
        except OSError:
            return 0.0


class ServerMemory:
    """Peaks of one call: `begin`, `end`; between them a thread looks. `server` is asked by that thread alone while it runs.

    Args:
        server: asked for device memory.
        process: of the server, where it is on this machine.
        held: MiB of that process on the device as NVML shows it; None where it does not.
        cuda: whether there is device memory at all; without, there has to be a process.
    """

    def __init__(self, server: Server, process: ServerProcess | None, held: Callable[[], float | None], *, cuda: bool) -> None:
        self._server, self._process, self._held, self._cuda = server, process, held, cuda
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._active = self._reserved = self._on_device = self._last = 0.0

    def begin(self) -> None:
        self._end_looking()
        self._active = self._reserved = self._on_device = 0.0
        if self._process:
            self._process.reset()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(self._stop,), name="swapgate-server-memory", daemon=True)
        self._thread.start()

    def end(self) -> Memory:
        self._end_looking()
        resident = self._process.peak() if self._process else 0.0
        if not self._cuda:
            return Memory(allocated=None, reserved=None, process=None, resident=resident, held=self._process.now() if self._process else 0.0)
        self._ask()
        return Memory(allocated=self._active, reserved=self._reserved, process=self._on_device or None, resident=resident, held=self._last)

    def so_far(self) -> float:
        return self._active if self._cuda or not self._process else self._process.peak()

    def _end_looking(self) -> None:
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def _watch(self, stop: threading.Event) -> None:
        turns = 0
        while not stop.wait(TURN_SECONDS):
            turns += 1
            if self._process:
                self._process.look()
            if self._cuda:
                self._on_device = max(self._on_device, self._held() or 0.0)
            if self._cuda and turns % max(1, round(STATS_SECONDS / TURN_SECONDS)) == 0:
                self._ask()

    def _ask(self) -> None:
        """A server that is dead tells nothing more; what it told before stays."""
        try:
            found = figures(self._server.stats())
        except ServerFailed:
            return
        self._active, self._reserved = max(self._active, found.active), max(self._reserved, found.reserved)
        self._last = found.active


class QueueOthers:
    """Others' prompts in the queue during a call: looked for before and after it, and told by the engine meanwhile (`saw`)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._seen = False
        self.own: set[str] = set()
        self.notes: tuple[str, ...] = ()

    def loaded(self, before: Mapping[str, float], *, suite_computes: bool) -> None:
        """Nothing to learn."""

    def begin(self, *, suite_computes: bool) -> None:  # noqa: ARG002 - others on a GPU are none on the server
        """A call is about to be made. A server says that a prompt is done shortly before it is out of its queue, so that is waited for."""
        end = time.monotonic() + SETTLE_SECONDS
        while (queued := self._queued()) & self.own and time.monotonic() < end:
            time.sleep(TURN_SECONDS / 2)
        self._seen = bool(queued - self.own)
        self.own &= queued

    def saw(self, others: int) -> None:
        """The server has told how many prompts of others wait."""
        self._seen = self._seen or others > 0

    def end(self) -> Seen:
        """OTHERS where there were any."""
        return ((OTHERS, None),) if self._seen or self._queued() - self.own else ()

    def _queued(self) -> set[str]:
        """Prompts that run or wait; none where the server does not say."""
        try:
            running, waiting = self._server.queue()
        except ServerFailed:
            return set()
        return {*running, *waiting}


def meters_of(server: Server, beside: Server, others: QueueOthers, alive: Callable[[], None] = nothing) -> Meters:
    """The meters of a server; beside: for the thread that looks while the other is asked, alive: raises when the server is known to have ended."""
    told = figures(server.stats())
    pid, why = process_of(server)
    process = ServerProcess(pid) if pid else None
    device = _device_of(pid) if pid and told.cuda else None
    held: Callable[[], float | None] = (lambda: _process_mib(device, pid)) if device and pid else lambda: None
    name = told.device_name if not told.cuda else (_NAME.match(told.device_name) or [told.device_name, told.device_name])[1]
    host, local = server.address.host, server.address.loopback
    measured = told.cuda or process is not None
    return Meters(
        memory=ServerMemory(beside, process, held, cuda=told.cuda) if measured else Unmeasured(),
        no_memory="" if measured else f"the server computes on a CPU, and {why}",
        accelerator=slug(name) if told.cuda else accelerator_slug("cpu") if local else f"{SERVER}-{slug(host)}",
        device_name=name if told.cuda else cpu_model() if local else host,
        synchronise=alive,
        health=Nvml(device.uuid).health if device else DeviceHealth,
        foreign=others,
        notes=tuple(_notes(told, process, why, device)),
    )


def _notes(told: Figures, process: ServerProcess | None, why: str, device: Device | None) -> list[str]:
    found = []
    if process and not process.exact:
        found.append(f"resident memory: of the server's process, looked at every {TURN_SECONDS * 1000:g} ms")
    if told.cuda:
        found.append(f"device memory: asked of the server every {STATS_SECONDS:g} s, so a shorter peak is not seen")
        if process is None:
            found.append(f"resident memory: {why}")
        if device is None:
            found.append(f"process memory: {why or 'NVML does not list the server among its processes'}")
    return found


def _device_of(pid: int) -> Device | None:
    """The first device that NVML lists the process on."""
    devices = [Device(uuid, exact=True) for uuid in used_by_uuid()[0]]
    return next((device for device in devices if pid in (device.processes() or {})), None)


def _process_mib(device: Device, pid: int) -> float | None:
    return (device.processes() or {}).get(pid)
